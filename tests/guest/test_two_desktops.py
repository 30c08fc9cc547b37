"""Two users at once, one on Wayland and one on X11, each with an agent that the user's systemd started."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from guestmux.guest import ADDRESS_VARIABLE
from tests.guest.desktops import SwayDesktop, X11Desktop, desktop_login
from tests.guest.event_host import EventHost
from tests.guest.rig import Guest
from tests.guest.two_desktops import EVENTS, TwoDesktops

pytestmark = [pytest.mark.guest, pytest.mark.timeout(240)]

PATIENCE = 60.0
"""Seconds for the next word of the guest's: an agent looks for a display server every half minute, at last."""


@pytest.fixture
def users(guest: Guest) -> Iterator[TwoDesktops]:
    """alice on sway and bob on X11, who came last and is shown."""
    with ExitStack() as stack:
        host = stack.enter_context(EventHost(guest.port("qmp"), PATIENCE).greeted())
        host.subscribe(*EVENTS)
        alice = stack.enter_context(desktop_login(guest, "alice", SwayDesktop))
        bob = stack.enter_context(desktop_login(guest, "bob", X11Desktop))
        users = TwoDesktops(host, alice, bob)
        users.start()
        yield users


def command_line(users: TwoDesktops, *arguments: str) -> list[str]:
    """The lines that `guestmux` prints on the host; by the other port, since a port has one host at a time."""
    assert isinstance(users.guest, Guest)
    environment = {**os.environ, ADDRESS_VARIABLE: f"unix:{users.guest.port('qga')}"}
    command = [sys.executable, "-m", "guestmux", *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_applications_of_both(users: TwoDesktops) -> None:
    for desktop in users.desktops:
        user = desktop.login.user
        info = users.ask(desktop, "session-get-info")
        variables = {name: desktop.variables[name] for name in desktop.variables if name.endswith("DISPLAY")}
        assert info["display-server"] == desktop.kind
        assert variables.items() <= info["environment"].items()
        started = users.launch(desktop)
        assert started["source"] == "claimed"
        told = len(users.host.told)
        command_line(users, "apps", "focus", "-s", f"user:{user}", desktop.app)
        assert command_line(users, "apps", "list", "-s", f"user:{user}")[1].startswith(f"{desktop.app}*")
        assert command_line(users, "apps", "list", "-s", f"user:{users.other(desktop).login.user}")[1:] == []
        focused = [m for m in users.host.told[told:] if m["event"] == "APP_FOCUSED"]
        assert {message["data"]["session"] for message in focused} <= {desktop.login.session}
        users.close(desktop)


def test_displays_of_both(users: TwoDesktops) -> None:
    for desktop in users.desktops:
        [display] = users.ask(desktop, "session-list-displays")["displays"]
        assert display["name"] == desktop.display
    alice, bob = users.desktops
    before = users.ask(bob, "session-list-displays")
    heights = itertools.count(700)

    def change() -> None:
        mode = f"1000x{next(heights)}"
        command_line(users, "displays", "set", "-s", "user:alice", "HEADLESS-1", "--mode", mode)

    [display] = users.until_change_is_told(alice, "DISPLAY_CHANGED", change)["displays"]
    assert display["width"] == 1000
    assert 700 <= display["height"] < next(heights)
    assert users.ask(bob, "session-list-displays") == before


def test_clipboards_go_with_the_screen(users: TwoDesktops) -> None:
    alice, bob = users.desktops
    users.check_that_one_is_shown(bob.login)
    users.check_clipboards(bob)
    for desktop in (alice, bob):
        users.show(desktop.login)
        users.check_clipboards(desktop)


def test_locks_of_both(users: TwoDesktops) -> None:
    alice, bob = users.desktops
    users.check_lock(bob)
    users.show(alice.login)
    users.check_lock(alice)


@pytest.mark.parametrize("which", [0, 1], ids=["wayland", "x11"])
def test_a_display_server_that_crashes_and_comes_back(users: TwoDesktops, which: int) -> None:
    desktop = users.desktops[which]
    users.crash(desktop)
    users.come_back(desktop)


@pytest.mark.parametrize("which", [0, 1], ids=["wayland", "x11"])
def test_an_agent_that_is_killed(users: TwoDesktops, which: int) -> None:
    users.check_agent_killed(users.desktops[which])


@pytest.mark.parametrize("which", [0, 1], ids=["wayland", "x11"])
def test_an_agent_that_is_killed_while_there_is_no_display_server(users: TwoDesktops, which: int) -> None:
    desktop, other = users.desktops[which], users.other(users.desktops[which])
    users.crash(desktop)
    told = users.kill_agent(desktop)
    desktop.start()
    users.until_followed(desktop, told)
    users.launch(desktop)
    for one in (desktop, other):
        users.close(one)
