"""The file systems that eventd is to look at."""

from __future__ import annotations

from pathlib import PurePosixPath

from guestmux_eventd.config import Config
from guestmux_eventd.doctor.machine import Machine
from guestmux_eventd.doctor.service import UNIT
from guestmux_protocol.findings import Finding, ok, problem

HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome= is about; see systemd.exec(5)."""


async def check_disk_pressure(machine: Machine, config: Config) -> list[Finding]:
    """Whether eventd can see them; nothing where it is to look at none."""
    if not config.disk_pressure:
        return []
    shown = await machine.tool("systemctl", "show", UNIT, "--property=ProtectHome", "--value")
    # With `tmpfs` what the administrator bound is there.
    if (shown or "").strip() == "yes" and (hidden := [*filter(_is_home, config.disk_pressure)]):
        what = f"eventd does not see {', '.join(hidden)}: ProtectHome=yes"
        return [problem("disk pressure", what, "man eventd.toml, disk-pressure")]
    paths = ", ".join(config.disk_pressure)
    return [ok("disk pressure", f"told from {config.disk_pressure_percent} % on, of {paths}")]


def _is_home(path: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(home) for home in HOMES)
