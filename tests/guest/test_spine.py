"""The main job on a really booted guest: real logind, PAM logins and D-Bus, the host outside with its library."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from guestmux import Event, Reconnected, blocking
from guestmux.errors import CommandFailed
from tests.guest.logins import Login, TerminalLogin
from tests.guest.rig import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]

PATIENCE = 20.0
"""Seconds for one event of the guest; most take milliseconds, a restart of the bus some seconds."""

AGENT = "guestmux-session"


class Host:
    """The host, subscribed to everything."""

    def __init__(self, guest: blocking.Guest) -> None:
        self.guest = guest
        self.stream = guest.events("*", timeout=40.0)

    def event(self, name: str, **expected: Any) -> dict[str, Any]:
        """Wait for an event whose data has these members; what comes before it is passed over."""
        for item in self.stream:
            if isinstance(item, Event) and item.name == name and expected.items() <= item.data.items():
                return item.data
        raise AssertionError(f"no {name} with {expected}")

    def reconnected(self) -> Reconnected:
        """Wait until the library has found the guest again."""
        for item in self.stream:
            if isinstance(item, Reconnected):
                return item
        raise AssertionError("never reconnected")

    def agents(self) -> dict[str, list[str]]:
        """The agents of each session."""
        return {s.session: [agent.name for agent in s.agents] for s in self.guest.sessions()}


@pytest.fixture
def host(guest: Guest) -> Iterator[Host]:
    with ExitStack() as stack:
        connected = stack.enter_context(blocking.connect(f"unix:{guest.port('qmp')}", timeout=PATIENCE))
        host = Host(connected)
        stack.enter_context(host.stream)
        yield host


LogIn = Callable[[str], TerminalLogin]
LogInOnSeat = Callable[[str], Login]


def test_two_users_are_told_and_called_in_their_own_sessions(
    host: Host, log_in: LogIn, log_in_on_seat: LogInOnSeat
) -> None:
    alice = log_in_on_seat("alice")
    login = host.event("SESSION_LOGIN", session=alice.session)
    assert (login["user"], login["seat"], login["type"], login["source"]) == (
        "alice",
        "seat0",
        "wayland",
        "verified",
    )
    host.event("AGENT_REGISTERED", session=alice.session)
    bob = log_in("bob")
    host.event("SESSION_LOGIN", session=bob.session, type="tty")
    host.event("AGENT_REGISTERED", session=bob.session)
    for login_session, uid in ((alice, 1000), (bob, 1001)):
        info = host.guest.session_info(login_session.session)
        assert (info.session, info.user, info.uid) == (login_session.session, login_session.user, uid)
    assert host.guest.session_info("active").user == "alice"
    assert host.guest.session_info("user:bob").user == "bob"
    bob.logout()
    host.event("SESSION_LOGOUT", session=bob.session)
    assert bob.session not in host.agents()


def test_a_lock_from_inside_the_guest(host: Host, log_in_on_seat: LogInOnSeat) -> None:
    alice = log_in_on_seat("alice")
    alice.lock()
    assert host.event("SESSION_LOCK", session=alice.session)["confirmed"] is False
    alice.set_locked(True)
    assert host.event("SESSION_LOCK", session=alice.session)["confirmed"] is True
    assert [session.locked for session in host.guest.sessions()] == [True]
    alice.set_locked(False)
    assert host.event("SESSION_UNLOCK", session=alice.session)["confirmed"] is True


def test_a_lock_from_the_host_asks_logind(guest: Guest, host: Host, log_in_on_seat: LogInOnSeat) -> None:
    alice = log_in_on_seat("alice")
    host.event("AGENT_REGISTERED", session=alice.session)
    with guest.monitor("interface=org.freedesktop.login1.Session,member=Lock") as bus:
        state = host.guest.lock(alice.session)
        bus.wait("Lock")
    assert (state.locked, state.confirmed) == (False, False)


def test_a_logout_from_the_host_ends_the_session(host: Host, log_in: LogIn) -> None:
    bob = log_in("bob")
    host.event("AGENT_REGISTERED", session=bob.session)
    host.guest.logout(bob.session)
    host.event("SESSION_LOGOUT", session=bob.session)
    bob.wait_gone()


def test_plain_processes_and_user_services_are_tied_to_the_right_session(
    guest: Guest, host: Host, log_in: LogIn
) -> None:
    first = log_in("alice")
    host.event("AGENT_REGISTERED", session=first.session)
    second = log_in("alice")
    plain = second.start(["guestmux-session"])
    try:
        host.event("AGENT_REGISTERED", session=second.session, agent=AGENT)
        assert host.agents() == {first.session: [AGENT], second.session: [AGENT]}
        service = guest.user_systemctl("alice", "show", "--value", "--property=MainPID", "guestmux-session")
        assert service not in {"", "0"}
        assert host.guest.session_info(first.session).session == first.session
        assert host.guest.session_info(second.session).session == second.session
    finally:
        guest.run(["pkill", "-u", "alice", "-f", "bin/guestmux-session", "--newest"], check=False)
        plain.communicate(timeout=PATIENCE)
    host.event("AGENT_GONE", session=second.session)


def test_another_users_session_is_refused(guest: Guest, host: Host, log_in: LogIn) -> None:
    alice, bob = log_in("alice"), log_in("bob")
    host.event("AGENT_REGISTERED", user="bob")
    guest.user_systemctl("bob", "stop", "guestmux-session")
    liar = bob.start(["timeout", "5", "guestmux-session", "--session", alice.session])
    said, _ = liar.communicate(timeout=PATIENCE)
    assert f"'{alice.session}' is no session of bob" in said
    assert host.agents()[alice.session] == [AGENT]
    assert host.agents()[bob.session] == []


def test_a_user_of_no_session_is_refused(guest: Guest, host: Host) -> None:
    said = guest.run(["timeout", "3", "guestmux-session"], user="carol", check=False)
    assert "in no login session" in said.stdout + said.stderr
    assert host.agents() == {}


def test_an_agent_that_is_killed_is_told_and_comes_back(guest: Guest, host: Host, log_in: LogIn) -> None:
    alice = log_in("alice")
    host.event("AGENT_REGISTERED", session=alice.session)
    guest.user_systemctl("alice", "kill", "--signal=KILL", "guestmux-session")
    assert host.event("AGENT_GONE", session=alice.session)["reason"] == "disconnected"
    with pytest.raises(CommandFailed, match="no agent is registered"):
        host.guest.session_info(alice.session)
    host.event("AGENT_REGISTERED", session=alice.session)
    assert host.guest.session_info(alice.session).user == "alice"


@pytest.mark.parametrize("how", ["restart", "kill --signal=KILL"])
def test_eventd_restarts_and_everything_is_found_again(
    guest: Guest, host: Host, log_in: LogIn, how: str
) -> None:
    alice = log_in("alice")
    host.event("AGENT_REGISTERED", session=alice.session)
    guest.systemctl(*how.split(), "guestmux-eventd")
    back = host.reconnected()
    assert [session.session for session in back.snapshot.sessions] == [alice.session]
    host.guest.wait_agent(alice.session, timeout=PATIENCE)
    assert host.guest.session_info(alice.session).user == "alice"


def test_the_bus_restarts_and_the_port_is_served_meanwhile(own_guest: Guest) -> None:
    guest = own_guest
    with ExitStack() as stack:
        host = Host(stack.enter_context(blocking.connect(f"unix:{guest.port('qmp')}", timeout=PATIENCE)))
        stack.enter_context(host.stream)
        guest.run(["systemctl", "kill", "--signal=KILL", "dbus.service"])
        guest.wait_for(
            "eventd to notice", lambda: "the bus is lost" in guest.journal("--unit=guestmux-eventd")
        )
        host.guest.ping()
        guest.wait_for(
            "eventd on the bus again",
            lambda: guest.journal("--unit=guestmux-eventd").count("on the bus as") == 2,
        )
        host.guest.ping()


def test_shutdown_is_told_before_the_guest_is_gone(own_guest: Guest) -> None:
    with blocking.connect(f"unix:{own_guest.port('qmp')}", timeout=PATIENCE) as connected:
        host = Host(connected)
        with host.stream:
            own_guest.run(["systemctl", "poweroff"], check=False)
            host.event("POWER_SHUTDOWN")
