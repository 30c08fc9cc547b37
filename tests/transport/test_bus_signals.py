"""Signals, names, and who is behind them."""

import os

import anyio
import pytest

from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import CallError, InvalidValue, NameTaken
from tests.support.bus_names import INTERFACE, NAME, PATH, ask, offer, ping
from tests.transport.conftest import Connect

pytestmark = pytest.mark.anyio


async def delivered(client: Bus, *services: Bus) -> None:
    """Return when the client has handled all that the services sent before."""
    for service in services:
        offer(service, "Flush", "", "", lambda _call: ())
        await ask(client, service, "Flush")


async def test_signals_come_only_from_the_owner_of_the_expected_name(
    client: Bus, service: Bus, connect: Connect
) -> None:
    texts: list[str] = []
    await service.request_name(NAME)
    await client.add_signal_handler(
        sender=NAME, interface=INTERFACE, handler=lambda signal: texts.append(signal.body[0])
    )
    impostor = await connect()
    service.emit(PATH, INTERFACE, "Said", "s", ["by the owner"])
    impostor.emit(PATH, INTERFACE, "Said", "s", ["by an impostor"])
    impostor.emit(PATH, INTERFACE, "Said", "s", ["to the client alone"], destination=client.unique_name)
    await delivered(client, service, impostor)
    assert texts == ["by the owner"]


async def test_the_owner_is_followed_when_it_changes(client: Bus, service: Bus, connect: Connect) -> None:
    texts: list[str] = []
    await client.add_signal_handler(
        sender=NAME, interface=INTERFACE, handler=lambda signal: texts.append(signal.body[0])
    )
    successor = await connect()
    for bus, text in [(service, "first"), (successor, "second")]:
        bus.emit(PATH, INTERFACE, "Said", "s", ["too early"], destination=client.unique_name)
        await bus.request_name(NAME)
        bus.emit(PATH, INTERFACE, "Said", "s", [text])
        await bus.release_name(NAME)
        bus.emit(PATH, INTERFACE, "Said", "s", ["too late"], destination=client.unique_name)
        await delivered(client, bus)
    assert texts == ["first", "second"]


async def test_only_the_bus_can_say_who_owns_a_name(client: Bus, service: Bus, connect: Connect) -> None:
    texts: list[str] = []
    await service.request_name(NAME)
    await client.add_signal_handler(
        sender=NAME, interface=INTERFACE, handler=lambda signal: texts.append(signal.body[0])
    )
    liar = await connect()
    names = [NAME, service.unique_name, liar.unique_name]
    liar.emit(
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
        "NameOwnerChanged",
        "sss",
        names,
        destination=client.unique_name,
    )
    liar.emit(PATH, INTERFACE, "Said", "s", ["a lie"], destination=client.unique_name)
    service.emit(PATH, INTERFACE, "Said", "s", ["the truth"])
    await delivered(client, liar, service)
    assert texts == ["the truth"]


async def test_member_and_path_narrow_it_down(client: Bus, service: Bus) -> None:
    signals: list[Signal] = []
    await client.add_signal_handler(
        sender=service.unique_name, interface=INTERFACE, member="Wanted", path=PATH, handler=signals.append
    )
    service.emit(PATH, INTERFACE, "Wanted", "s", ["right"])
    service.emit(PATH, INTERFACE, "Other", "s", ["wrong member"], destination=client.unique_name)
    service.emit("/other", INTERFACE, "Wanted", "s", ["wrong path"], destination=client.unique_name)
    await delivered(client, service)
    [signal] = signals
    assert signal == Signal(service.unique_name, PATH, INTERFACE, "Wanted", "s", ["right"], signal.serial)


async def test_the_order_in_which_a_sender_sent_signals_and_answers_is_known(
    client: Bus, service: Bus
) -> None:
    signals: list[Signal] = []
    await client.add_signal_handler(sender=service.unique_name, interface=INTERFACE, handler=signals.append)
    serials = []
    for _ in range(2):
        service.emit(PATH, INTERFACE, "Wanted", "s", ["x"])
        reply = await client.call(service.unique_name, "/", "org.freedesktop.DBus.Peer", "Ping")
        assert reply.sender == signals[-1].sender
        serials += [signals[-1].serial, reply.serial]
    assert serials == sorted({*serials})


async def test_a_removed_handler_takes_its_match_rule_with_it(
    client: Bus, service: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    handles = [
        await client.add_signal_handler(
            sender=service.unique_name,
            interface=INTERFACE,
            handler=lambda signal: texts.append(signal.body[0]),
        )
        for _ in range(2)
    ]
    frames: list[object] = []
    monkeypatch.setattr(client, "_on_signal", lambda message, **_: frames.append(message))
    client.remove_signal_handler(handles[0])
    await ping(client)
    service.emit(PATH, INTERFACE, "Said", "s", ["one handler is left"])
    await delivered(client, service)
    assert len(frames) == 1
    client.remove_signal_handler(handles[1])
    client.remove_signal_handler(handles[1])
    await ping(client)
    service.emit(PATH, INTERFACE, "Said", "s", ["none is left"])
    await delivered(client, service)
    assert len(frames) == 1, "the bus still sends it"


async def test_a_handler_that_fails_does_not_harm_the_others(
    client: Bus, service: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    texts: list[str] = []

    def fail(_signal: Signal) -> None:
        raise ZeroDivisionError("in a handler")

    for handler in (fail, lambda signal: texts.append(signal.body[0])):
        await client.add_signal_handler(sender=service.unique_name, interface=INTERFACE, handler=handler)
    service.emit(PATH, INTERFACE, "Said", "s", ["text"])
    await delivered(client, service)
    assert texts == ["text"]
    assert "in a handler" in caplog.text


async def test_a_handler_for_a_bad_name_is_refused(client: Bus) -> None:
    with pytest.raises(InvalidValue):
        await client.add_signal_handler(sender="a.b',x='", interface=INTERFACE, handler=print)


async def test_a_name_has_one_owner(client: Bus, service: Bus) -> None:
    await service.request_name(NAME)
    await service.request_name(NAME)
    with pytest.raises(NameTaken, match=NAME):
        await client.request_name(NAME)
    await service.release_name(NAME)
    await client.request_name(NAME)


async def test_credentials_are_the_kernels(client: Bus, service: Bus) -> None:
    credentials = await client.credentials(service.unique_name)
    assert (credentials.uid, credentials.pid) == (os.getuid(), os.getpid())
    if credentials.pidfd is not None:
        os.close(credentials.pidfd)


async def test_credentials_of_who_has_left_are_an_error(client: Bus, connect: Connect) -> None:
    gone = await connect()
    await gone.aclose()
    with pytest.raises(CallError):
        await client.credentials(gone.unique_name)


async def test_a_sender_that_leaves_is_told_once(client: Bus, connect: Connect) -> None:
    left: list[str] = []
    seen = anyio.Event()
    sender, other = await connect(), await connect()

    def note(name: str) -> None:
        left.append(name)
        seen.set()

    client.watch_sender(sender.unique_name, note)
    client.watch_sender(other.unique_name, note)
    client.unwatch_sender(other.unique_name, note)
    await ping(client)
    assert left == []
    await other.aclose()
    await sender.aclose()
    await seen.wait()
    await ping(client)
    assert left == [sender.unique_name]


async def test_a_sender_that_had_left_before_is_told_as_well(client: Bus, connect: Connect) -> None:
    seen = anyio.Event()
    sender = await connect()
    await sender.aclose()
    await ping(client)
    client.watch_sender(sender.unique_name, lambda _name: seen.set())
    await seen.wait()
