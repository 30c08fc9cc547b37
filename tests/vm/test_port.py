"""guestmux on a real virtio port: a real kernel on one side of it, QEMU's chardev on the other."""

from collections.abc import Callable

import pytest

from guestmux import blocking
from guestmux.event import Event
from tests.guest.logins import Login, TerminalLogin
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]


def names(stream: blocking.EventStream, last: str) -> list[str]:
    """The events up to one of the name `last`."""
    seen: list[str] = []
    for item in stream:
        assert isinstance(item, Event), item
        seen.append(item.name)
        if item.name == last:
            return seen
    raise AssertionError(f"no {last} after {seen}")


def test_the_qmp_port_greets_every_host(machine: Machine) -> None:
    for _ in range(2):
        with machine.host("qmp") as host:
            host.greeted("oob")
            assert host.ask("guest-ping")["return"] == {}


def test_the_qga_port_is_silent_until_asked(machine: Machine) -> None:
    with machine.host("qga") as host:
        host.send(b'{"execute": "guest-sync", "arguments": {"id": 4711}}')
        assert host.message() == {"return": 4711}


def test_events_of_real_logins(
    guest: blocking.Guest, log_in: Callable[[str], TerminalLogin], log_in_on_seat: Callable[[str], Login]
) -> None:
    with guest.events("SESSION_*", timeout=60) as stream:
        assert not stream.snapshot.sessions
        alice = log_in("alice")
        assert names(stream, "SESSION_LOGIN") == ["SESSION_LOGIN"]
        bob = log_in_on_seat("bob")
        assert "SESSION_LOGIN" in names(stream, "SESSION_LOGIN")
        assert {(s.session, s.user, s.tty or "") for s in guest.sessions()} == {
            (alice.session, "alice", "ttyS1"),
            (bob.session, "bob", ""),
        }
        alice.logout()
        assert names(stream, "SESSION_LOGOUT")[-1] == "SESSION_LOGOUT"
