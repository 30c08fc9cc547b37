"""A real Xorg whose graphics card is made up: sixteen connectors, and any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.x_server import XServer

_CONFIG = """
Section "Device"
    Identifier "card"
    Driver "dummy"
    VideoRam 65536
EndSection
Section "Monitor"
    Identifier "monitor"
    HorizSync 5.0-1000.0
    VertRefresh 5.0-200.0
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    Monitor "monitor"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Modes "1024x768" "800x600"
    EndSubSection
EndSection
"""


@contextmanager
def xorg(directory: Path) -> Iterator[XServer]:
    """Run one for as long as the block lasts; `DUMMY0` is connected, 1024 times 768."""
    config = directory / "xorg.conf"
    config.write_text(_CONFIG)
    # Without a terminal of its own, and whatever the machine has configured.
    options = ("-novtswitch", "-sharevts", "-nolisten", "tcp", "-noreset", "-configdir", str(directory))
    command = ("Xorg", "-config", str(config), "-logfile", str(directory / "xorg.log"), *options)
    server = XServer(directory, command)
    try:
        yield server
    finally:
        server.close()
