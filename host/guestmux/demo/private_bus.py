"""A message bus of the demo's own: the guest's system bus, and each session's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from guestmux.demo.children import Children
from guestmux.demo.errors import DemoError
from guestmux.demo.room import EVENTD, Person, Room

# Who may talk to whom is the business of those who answer; a real guest's policy is in packaging/dbus.
_CONFIG: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""

MISSING: Final = (
    "dbus-daemon is not installed: apt-get install dbus-daemon (Debian), dnf install dbus-daemon (Fedora)"
)


async def start_bus(room: Room, children: Children, folder: Path, person: Person | None = None) -> str:
    """Start a dbus-daemon; returns its address.

    Args:
        room: where it runs.
        children: what ends it.
        folder: where its socket is.
        person: whose bus it is; None for the system's.

    Raises:
        DemoError: there is no dbus-daemon, or it does not start.
    """
    program = shutil.which("dbus-daemon")
    if program is None:
        raise DemoError(MISSING)
    name = f"{person.name}-bus" if person else "system-bus"
    config = room.folder / f"{name}.conf"
    config.write_text(_CONFIG.format(socket=folder / "bus"))
    command = [program, f"--config-file={config}", "--nofork", "--print-address=1"]
    environment = room.environment(person or EVENTD)
    daemon = await children.start(name, room.command(command, person), environment=environment)
    await daemon.ready()
    return f"unix:path={folder / 'bus'}"
