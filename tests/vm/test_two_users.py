"""Fast user switching on a real seat: two users on virtual terminals, switched by logind and by the keyboard's way."""

from collections.abc import Callable

import pytest

from tests.guest.event_host import EventHost
from tests.guest.logins import Login
from tests.guest.two_users import LISTENED_TO, TwoUsers
from tests.vm.emulated import WAIT_SECONDS
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

# What the kernel does at Ctrl+Alt+F8, and chvt(1).
SWITCH_TERMINAL = """
import fcntl, sys
VT_ACTIVATE = 0x5606
with open("/dev/tty0") as console:
    fcntl.ioctl(console, VT_ACTIVATE, int(sys.argv[1]))
"""


def test_two_users_take_turns_on_virtual_terminals(
    machine: Machine, log_in_on_seat: Callable[[str], Login]
) -> None:
    with EventHost(machine.qemu.socket("qmp"), WAIT_SECONDS).greeted() as host:
        host.subscribe(*LISTENED_TO)
        alice, bob = log_in_on_seat("alice"), log_in_on_seat("bob")
        users = TwoUsers(machine, host, alice, bob)
        users.have_agents()
        users.check_that_both_are_reached()
        for login in (alice, bob):
            users.show(login)
        users.show(alice, lambda: switch_terminal(machine, alice))
        # A terminal where nobody is logged in.
        told = len(host.data("SESSION_ACTIVE"))
        machine.run(["python3", "-c", SWITCH_TERMINAL, "1"])
        host.until(lambda host: len(host.data("SESSION_ACTIVE")) > told)
        assert host.data("SESSION_ACTIVE")[told].get("session") is None
        assert "error" in host.ask("session-get-info", session="active")


def switch_terminal(machine: Machine, login: Login) -> None:
    """Go to a user's terminal."""
    machine.run(["python3", "-c", SWITCH_TERMINAL, login.properties()["VTNr"]])
