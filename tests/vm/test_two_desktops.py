"""Two users with a display server each, on virtual terminals: windows, clipboards, switching, crashes."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.guest.desktops import SwayDesktop, X11Desktop, desktop_login
from tests.guest.event_host import EventHost
from tests.guest.two_desktops import EVENTS, TwoDesktops
from tests.vm.emulated import WAIT_SECONDS
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


@pytest.fixture
def users(machine: Machine) -> Iterator[TwoDesktops]:
    """alice on sway and bob on X11, who came last and is shown."""
    with ExitStack() as stack:
        host = stack.enter_context(EventHost(machine.qemu.socket("qmp"), WAIT_SECONDS).greeted())
        host.subscribe(*EVENTS)
        alice = stack.enter_context(desktop_login(machine, "alice", SwayDesktop))
        bob = stack.enter_context(desktop_login(machine, "bob", X11Desktop))
        users = TwoDesktops(host, alice, bob)
        users.start()
        yield users


def test_two_desktops(users: TwoDesktops) -> None:
    """In one: both display servers take their time to start in an emulated machine."""
    alice, bob = users.desktops
    for desktop in (alice, bob):
        users.show(desktop.login)
        users.check_clipboards(desktop)
    users.crash(bob)
    users.come_back(bob)
    users.check_agent_killed(alice)
