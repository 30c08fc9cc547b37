"""Real desktops."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.needed_programs import need_programs
from tests.support.sway import Sway, sway
from tests.support.x_server import XServer, x_server

X_PROGRAMS = ("Xvfb", "openbox", "xterm", "xdotool", "xprop", "xclip", "xsel")
WAYLAND_PROGRAMS = ("sway", "foot", "setpriv", "wl-copy", "wl-paste")


@pytest.fixture
def system_bus() -> Iterator[PrivateBus]:
    """A bus in the place of the system bus."""
    with private_bus() as bus:
        yield bus


@pytest.fixture
def session_bus() -> Iterator[PrivateBus]:
    """A bus in the place of a user's session bus."""
    with private_bus() as bus:
        yield bus


@pytest.fixture
def bare_x(tmp_path: Path) -> Iterator[XServer]:
    """An X server that nobody manages."""
    need_programs(*X_PROGRAMS)
    with x_server(tmp_path) as server:
        yield server


@pytest.fixture
def x(bare_x: XServer) -> XServer:
    """An X server with a window manager."""
    bare_x.manage()
    return bare_x


@pytest.fixture
def wayland() -> Iterator[Sway]:
    """A Wayland compositor."""
    need_programs(*WAYLAND_PROGRAMS)
    with sway() as compositor:
        yield compositor
