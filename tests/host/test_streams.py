"""Streams, and what else only mux has, against a guest that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import guestmux
from guestmux import mux_talk
from guestmux_protocol.mux import Close, Data, Failure, encode
from tests.support.standin_guest import SILENCE, Refused, StandInGuest
from tests.support.standin_mux import StandInStream
from tests.support.streams import names, take

pytestmark = pytest.mark.anyio

WINDOW = 1 << 20


@pytest.fixture
def dialect() -> str:
    return "mux"


@pytest.fixture
def opened(standin: StandInGuest) -> Callable[[], StandInStream]:
    """The guest's end of the latest stream."""
    standin.streams["x"] = lambda stream: stream.accept({"size": 3})
    return lambda: standin.opened["x"][-1]


async def test_bytes_go_both_ways(
    guest: guestmux.Guest, standin: StandInGuest, opened: Callable[[], StandInStream]
) -> None:
    assert (guest.dialect, guest.has_streams, guest.concurrent) == ("mux", True, True)
    async with await guest.stream(
        "x", {"path": "/a"}, session="c2", wait=1, timeout=5, exact_name=True
    ) as stream:
        assert stream.reply == {"size": 3}
        assert opened().request.arguments == {
            "path": "/a",
            "exact-name": True,
            "session": "c2",
            "wait": 1,
            "timeout": 5,
        }
        await stream.send(b"to the guest")
        await stream.send_eof()
        await standin.until(lambda: opened().closed is not None)
        assert opened().received == b"to the guest"
        opened().send(b"to the host")
        assert await stream.receive(6) == b"to the"
        assert await stream.receive() == b" host"
        opened().close({"checksum": "abc"})
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        assert await stream.result() == {"checksum": "abc"}
    assert opened().closed == Close(opened().number)
    assert "GuestStream x" in repr(stream)


async def test_a_guest_that_has_no_last_word(
    guest: guestmux.Guest, opened: Callable[[], StandInStream]
) -> None:
    async with await guest.stream("x") as stream:
        opened().close()
        assert await stream.result() is None


async def test_a_guest_that_refuses(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def refuse(_: StandInStream) -> None:
        raise Refused("Connection refused")

    standin.streams["x"] = refuse
    with pytest.raises(guestmux.CommandFailed, match="Connection refused"):
        await guest.stream("x")
    with pytest.raises(guestmux.CommandNotFound):
        await guest.stream("y")


@pytest.mark.parametrize("dialect", ["qga", "qmp"])
async def test_a_port_without_streams(guest: guestmux.Guest) -> None:
    assert not guest.has_streams
    with pytest.raises(guestmux.NoStreams, match="mux"):
        await guest.stream("x")


async def test_who_wants_to_stays_with_json(standin: StandInGuest) -> None:
    async with guestmux.connect(standin.address, mux=False) as guest:
        assert (guest.dialect, guest.has_streams) == ("qmp", False)
        with pytest.raises(guestmux.NoStreams):
            await guest.stream("x")


async def test_a_stream_that_the_guest_breaks(
    guest: guestmux.Guest, opened: Callable[[], StandInStream]
) -> None:
    async with await guest.stream("x") as stream:
        opened().send(b"some")
        opened().fail("disk full")
        assert await stream.receive() == b"some", "what came before is given before the error"
        works: list[Callable[[], Any]] = [stream.receive, stream.result, lambda: stream.send(b"x")]
        for work in works:
            with pytest.raises(guestmux.StreamFailed, match="disk full") as caught:
                await work()
            assert (caught.value.error_class, caught.value.party) == ("GenericError", "agent")


async def test_a_stream_that_we_break(
    guest: guestmux.Guest, standin: StandInGuest, opened: Callable[[], StandInStream]
) -> None:
    async with await guest.stream("x") as stream:
        await stream.fail("no room here")
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()
    await standin.until(lambda: opened().closed is not None)
    assert opened().closed == Close(opened().number, Failure("GenericError", "no room here", "host"), None)


async def test_who_leaves_a_stream_gives_it_up(
    guest: guestmux.Guest, standin: StandInGuest, opened: Callable[[], StandInStream]
) -> None:
    async with await guest.stream("x"):
        pass
    await standin.until(lambda: opened().closed is not None)
    closed = opened().closed
    assert closed
    assert closed.failure
    assert closed.failure.party == "host"


async def test_a_stream_ends_with_the_connection(
    guest: guestmux.Guest, standin: StandInGuest, opened: Callable[[], StandInStream]
) -> None:
    async with await guest.stream("x") as stream:
        async with asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(error_of(stream.receive))
            result = tasks.create_task(error_of(stream.result))
            await guest.ping()
            standin.hang_up()
        assert isinstance(receiving.result(), guestmux.ConnectionLost)
        assert isinstance(result.result(), guestmux.ConnectionLost)
        with pytest.raises(guestmux.ConnectionLost):
            await stream.send(b"x")
    await guest.ping()


async def error_of(work: Callable[[], Any]) -> Exception:
    with pytest.raises(guestmux.GuestmuxError) as caught:
        await work()
    return caught.value


@pytest.mark.parametrize("untrusted", [b"{", b"\xff", b""])
async def test_words_that_are_no_json(
    guest: guestmux.Guest, standin: StandInGuest, opened: Callable[[], StandInStream], untrusted: bytes
) -> None:
    async with await guest.stream("x") as stream:
        assert standin.mux
        standin.mux.mux.close(opened().number, None, untrusted)
        standin.mux.flush()
        with pytest.raises(guestmux.UnexpectedReply, match="x: "):
            await stream.result()

    def odd(opening: StandInStream) -> None:
        assert standin.mux
        standin.mux.mux.reply(opening.number, untrusted)

    standin.streams["x"] = odd
    with pytest.raises(guestmux.UnexpectedReply):
        await guest.stream("x")
    await standin.until(lambda: opened().closed is not None)
    await guest.ping()


class TestBackPressure:
    async def test_nothing_is_sent_that_the_guest_has_no_room_for(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        standin.streams["x"] = lambda stream: stream.accept(credit=10)
        async with await guest.stream("x") as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, b"x" * 25)
            opened = standin.opened["x"][0]
            await standin.until(lambda: len(opened.received) == 10)
            await guest.ping()
            assert len(opened.received) == 10
            opened.grant(100)
            await standin.until(lambda: len(opened.received) == 25)

    async def test_the_guest_has_no_more_room_than_is_taken_here(
        self, guest: guestmux.Guest, opened: Callable[[], StandInStream]
    ) -> None:
        async with await guest.stream("x") as stream:
            await guest.ping()
            assert opened().room == WINDOW
            while opened().room:
                opened().send(b"x" * min(65536, opened().room))
            await guest.ping()
            assert opened().room == 0
            taken = 0
            while taken < WINDOW:
                taken += len(await stream.receive())
            await guest.ping()
            assert WINDOW / 2 <= opened().room <= WINDOW

    async def test_a_sender_who_is_cancelled(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        standin.streams["x"] = lambda stream: stream.accept(credit=10)
        async with await guest.stream("x") as stream:
            with anyio.move_on_after(0.01):
                await stream.send(b"x" * 11)
            await stream.send_eof()
            opened = standin.opened["x"][0]
            await standin.until(lambda: opened.closed is not None)
            assert opened.received == b"x" * 10


class TestCancelling:
    async def test_a_call(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        standin.commands["slow"] = lambda _: SILENCE
        with pytest.raises(guestmux.CallTimeout, match="may or may not"):
            await guest.call("slow", timeout=0.01)
        await standin.until(lambda: bool(standin.mux and standin.mux.cancelled))
        assert standin.mux
        assert standin.mux.cancelled == [standin.requests["slow"][0].id]
        standin.reply(standin.requests["slow"][0], "late")
        await guest.ping()

    async def test_an_opening(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        standin.streams["x"] = lambda _: None
        with pytest.raises(guestmux.CallTimeout):
            await guest.stream("x", timeout=0.01)
        await standin.until(lambda: bool(standin.mux and standin.mux.cancelled))
        # It crossed our word: the stream is open there, and is broken at once.
        standin.opened["x"][0].accept()
        await standin.until(lambda: standin.opened["x"][0].closed is not None)
        await guest.ping()


async def test_more_calls_than_the_guest_takes_wait_their_turn(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    standin.commands["slow"] = lambda _: SILENCE
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(guest.call("slow")) for _ in range(300)]
        await standin.until_asked("slow", 256)
        assert len(standin.requests["slow"]) == 256
        for number in range(300):
            standin.reply(await standin.until_asked("slow", number + 1), number)
    assert [call.result() for call in calls] == list(range(300))


class TestAcknowledging:
    async def test_what_consumers_took(
        self, guest: guestmux.Guest, standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mux_talk, "ACK_SECONDS", 0.0)
        async with guest.events("A") as slow, guest.events() as fast:
            for name in ("A", "B", "A", "B"):
                standin.emit(name)
            for _ in range(4):
                await anext(fast)
            await anext(slow)
            await anext(slow)
            await acknowledged(standin, 2)
            async with anyio.create_task_group() as tasks:
                # Who waits for more is done with all that came.
                tasks.start_soon(anext, slow)
                tasks.start_soon(anext, fast)
                await acknowledged(standin, 4)
                standin.emit("A")

    async def test_without_a_consumer(
        self, guest: guestmux.Guest, standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mux_talk, "ACK_SECONDS", 0.0)
        async with guest.events():
            pass
        standin.emit("A")
        await acknowledged(standin, 1)


async def acknowledged(standin: StandInGuest, seq: int) -> None:
    await standin.until(lambda: standin.mux is not None and standin.mux.acknowledged >= seq)
    assert standin.mux
    assert standin.mux.acknowledged == seq


async def test_events_of_any_form(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        assert standin.mux
        for data in (b'{"a": 1, "a": 2}', b'{"epoch": 5, "seq": "x"}', b'{"a": "\\n"}'):
            standin.mux.mux.event(7, "ODD", data, 1_000_002)
        standin.mux.flush()
        twice, odd, escaped = [await anext(stream) for _ in range(3)]
    assert isinstance(twice, guestmux.Event)
    assert twice.data == {}, "QEMU takes no member twice; nothing else is wrong with it"
    assert isinstance(odd, guestmux.Event)
    assert (odd.epoch, odd.seq, odd.seconds, odd.microseconds) == ("", None, 1, 2)
    assert odd == guestmux.Event("ODD", {"epoch": 5, "seq": "x"}, 1, 2)
    assert escaped == guestmux.Event("ODD", {"a": "\n"}, 1, 2)
    assert escaped != guestmux.Gap(1, 2, "x")
    assert "'a': '\\n'" in repr(escaped)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"a": "\xff"}'])
async def test_events_that_are_no_json(guest: guestmux.Guest, standin: StandInGuest, data: bytes) -> None:
    """Something was cut off: events may have been in it, so the guest is asked again."""
    async with guest.events() as stream:
        standin.emit("FIRST")
        assert standin.mux
        standin.mux.mux.event(2, "ODD", data, 1_000_002)
        standin.emit("NEVER")
        standin.mux.flush()
        items = await take(stream, 5)
    assert names(items) == ["FIRST", "Disconnected", "Gap", "Reconnected", "NEVER"]


class TestRestarts:
    """The guest's side begins anew under a connection that lives on, as behind QEMU's chardev."""

    @pytest.mark.parametrize("before", [b"", b"\xff", encode(Data(99, b"x" * 9))[:-3] + b"\xff"])
    async def test_everything_under_way_fails_and_then_goes_on(
        self,
        guest: guestmux.Guest,
        standin: StandInGuest,
        opened: Callable[[], StandInStream],
        before: bytes,
    ) -> None:
        standin.commands["slow"] = lambda _: SILENCE
        async with guest.events() as events, await guest.stream("x") as stream:
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(error_of(lambda: guest.call("slow")))
                await standin.until_asked("slow")
                standin.emit("A")
                standin.restart(before)
            assert isinstance(call.result(), guestmux.ConnectionLost)
            assert "may or may not have run" in str(call.result())
            with pytest.raises(guestmux.ConnectionLost):
                await stream.receive()
            standin.emit("B")
            kinds = [type(await anext(events)).__name__ for _ in range(4)]
        assert kinds == ["Event", "Disconnected", "Reconnected", "Event"]
        assert guest.dialect == "mux"
        async with await guest.stream("x"):
            pass
        assert len(standin.requests["guest-mux-upgrade"]) == 2

    async def test_a_frame_that_breaks_off(
        self, guest: guestmux.Guest, standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the guest says after it restarted is taken for the frame's rest, until that takes too long."""
        monkeypatch.setattr(mux_talk, "HALF_FRAME_SECONDS", 0.01)
        async with guestmux.connect(standin.address) as guest:
            standin.commands["x"] = lambda _: SILENCE
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(error_of(lambda: guest.call("x")))
                await standin.until_asked("x")
                standin.restart(encode(Data(99, b"x" * 9999))[:-8000])
            assert "in the middle of a message" in str(call.result())
            await guest.ping()
            assert guest.dialect == "mux"

    async def test_a_guest_that_cannot_mux_any_more(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        await guest.ping()
        standin.can_mux = False
        standin.restart()
        async with guest.events() as stream:
            standin.emit("A")
            assert isinstance(await anext(stream), guestmux.Event)
        assert guest.dialect == "qmp"

    async def test_a_guest_that_does_not_come_back(self, standin: StandInGuest) -> None:
        async with guestmux.connect(standin.address) as guest, guest.events() as stream:
            standin.commands["guest-mux-upgrade"] = lambda _: SILENCE
            assert guest._link
            guest._link._timeout = 0.05
            standin.restart()
            disconnected = await anext(stream)
            assert isinstance(disconnected, guestmux.Disconnected)
            await standin.until_asked("guest-mux-upgrade", 2)
            del standin.commands["guest-mux-upgrade"]
            assert isinstance(await anext(stream), guestmux.Reconnected)
