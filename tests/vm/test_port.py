"""guestmux on a real virtio port: a real kernel on one side of it, QEMU's chardev on the other."""

from collections.abc import Callable

import pytest

from guestmux import blocking
from guestmux.blocking_events import EventStream
from guestmux.event import Event
from tests.guest.logins import Login, TerminalLogin
from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


def wait_event(stream: EventStream, name: str, **data: object) -> Event:
    """The next event of a name with these data."""
    seen: list[object] = []
    for item in stream:
        seen.append(item)
        if isinstance(item, Event) and item.name == name and item.data.items() >= data.items():
            return item
    raise AssertionError(f"no {name} with {data} in time; seen: {seen}")


def test_the_qmp_port_greets_a_host(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted("oob")
        assert host.ask("guest-ping")["return"] == {}


def test_the_qga_port_is_silent_until_asked(machine: Machine) -> None:
    with machine.host("qga") as host:
        host.send(b'{"execute": "guest-sync", "arguments": {"id": 4711}}')
        assert host.message() == {"return": 4711}


def test_a_host_that_was_there_before_eventd(machine: Machine) -> None:
    machine.systemctl("stop", EVENTD)
    with machine.host("qmp") as qmp, machine.host("qga") as qga:
        qga.request("guest-ping", request_id="asked before anybody was there")
        machine.systemctl("start", EVENTD)
        qmp.greeted()
        assert qga.message() == {"return": {}, "id": "asked before anybody was there"}


def test_a_large_message_each_way(machine: Machine) -> None:
    text = "x" * 1_000_000
    with machine.host("qga") as host:
        host.request("guest-ping", request_id=text)
        assert host.message() == {"return": {}, "id": text}


def test_logins_are_events_and_both_sessions_take_calls(
    guest: blocking.Guest, log_in: Callable[[str], TerminalLogin], log_in_on_seat: Callable[[str], Login]
) -> None:
    with guest.events(timeout=200) as stream:
        assert not stream.snapshot.sessions
        alice = log_in("alice")
        wait_event(stream, "SESSION_LOGIN", session=alice.session, user="alice", tty="ttyS1")
        bob = log_in_on_seat("bob")
        wait_event(stream, "SESSION_LOGIN", session=bob.session, user="bob", seat="seat0")
        for login in (alice, bob):
            guest.wait_agent(login.session, timeout=60)
            assert guest.session_info(login.session).session == login.session
        alice.logout()
        wait_event(stream, "SESSION_LOGOUT", session=alice.session)
        assert [session.user for session in guest.sessions()] == ["bob"]
