"""The guest itself: what all other tests here stand on."""

from collections.abc import Callable

import pytest

from tests.guest.logins import Login, TerminalLogin, terminal_login
from tests.guest.rig import Guest
from tests.guest.system import LOGIND, GuestError

pytestmark = pytest.mark.guest

TELL_AS_SYSTEMD = """
import socket, struct
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.connect("/run/host/notify")
    for _ in range(50):
        manager.sendmsg([b"STATUS=busy"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", 1, 0, 0))])
"""
"""What systemd says each second while a job takes more than five: on the way to us are two sockets, for 10 each."""


def test_boots_whole(guest: Guest) -> None:
    assert guest.systemctl("is-system-running", "--wait") == "running"
    assert guest.systemctl("list-units", "--failed", "--no-legend") == ""
    assert guest.run("cat /proc/1/comm").stdout.strip() == "systemd"


def test_two_users_at_terminals(guest: Guest, log_in: Callable[[str], TerminalLogin]) -> None:
    alice, bob = log_in("alice"), log_in("bob")
    assert {(s.id, s.uid, s.user) for s in guest.sessions()} == {
        (alice.session, 1000, "alice"),
        (bob.session, 1001, "bob"),
    }
    assert alice.properties()["TTY"] == alice.tty
    assert alice.properties()["Type"] == "tty"
    for user in ("alice", "bob"):
        assert guest.user_systemctl(user, "is-system-running", "--wait") == "running"
    bob.logout()
    assert [s.user for s in guest.sessions()] == ["alice"]


def test_wrong_password(guest: Guest) -> None:
    with pytest.raises(GuestError, match="Login incorrect"), terminal_login(guest, "alice", password="wrong"):
        pass


def test_seat_switches(guest: Guest, log_in_on_seat: Callable[[str], Login]) -> None:
    alice, bob = log_in_on_seat("alice"), log_in_on_seat("bob")
    assert (alice.properties()["Seat"], alice.properties()["Type"]) == ("seat0", "wayland")
    bob.activate()
    assert (alice.properties()["Active"], bob.properties()["Active"]) == ("no", "yes")
    alice.activate()
    assert (alice.properties()["Active"], bob.properties()["Active"]) == ("yes", "no")


def test_lock_is_a_signal_and_the_hint_is_state(guest: Guest, log_in_on_seat: Callable[[str], Login]) -> None:
    alice = log_in_on_seat("alice")
    with guest.monitor("type='signal',sender='org.freedesktop.login1'") as bus:
        alice.lock()
        assert bus.wait("Lock")["path"].endswith(f"/session/_3{alice.session}")
        alice.unlock()
        bus.wait("Unlock")
        alice.set_locked(True)
        bus.wait("PropertiesChanged", lambda message: "LockedHint" in str(message["payload"]))
    assert alice.properties()["LockedHint"] == "yes"


def test_processes_are_in_the_session_they_should_be(
    guest: Guest, log_in: Callable[[str], TerminalLogin]
) -> None:
    alice = log_in("alice")
    my_session = ["busctl", "call", *LOGIND, "GetSessionByPID", "u", "0"]
    assert alice.run(my_session).stdout == f'o "/org/freedesktop/login1/session/_3{alice.session}"\n'
    with pytest.raises(GuestError, match="does not belong to any known session"):
        guest.run(my_session, user="carol")
    assert alice.run("id -un; echo $XDG_SESSION_ID").stdout.split() == ["alice", alice.session]


def test_command_that_fails(guest: Guest) -> None:
    with pytest.raises(GuestError, match="status 3"):
        guest.run("exit 3")


def test_systemd_may_tell_its_manager_as_much_as_it_likes(guest: Guest) -> None:
    guest.run(["timeout", "20", "python3", "-c", TELL_AS_SYSTEMD])


def test_switches_itself_off(own_guest: Guest) -> None:
    own_guest.systemctl("--no-block", "poweroff")
    own_guest.container.wait_stopped()
