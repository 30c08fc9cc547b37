"""What is installed, and what systemd says of eventd."""

from __future__ import annotations

import platform

from guestmux_eventd.doctor.machine import Machine
from guestmux_eventd.doctor.processes import eventd_processes
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_protocol.version import VERSION

UNIT = "guestmux-eventd.service"
PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts")

PACKAGES = ("guestmux-common", "guestmux-guest")

POLICY_FILES = tuple(
    f"{folder}/dbus-1/system.d/org.guestmux.conf" for folder in ("/usr/share", "/etc", "/usr/local/share")
)

MANY_RESTARTS = 3
"""More restarts than this since the boot are no accident."""

START = "systemctl enable --now guestmux-eventd"
READ_JOURNAL = "journalctl -u guestmux-eventd"


def check_version() -> Finding:
    """What runs this."""
    return ok("version", f"guestmux {VERSION}, Python {platform.python_version()}")


async def check_packages(machine: Machine) -> Finding:
    """Whether the packages are of one version."""
    form = "${Package} ${Version} ${db:Status-Status}\\n"
    # A pattern: a name that is not there would fail the whole query.
    text = await machine.tool("dpkg-query", "-W", "-f", form, "guestmux-*")
    rows = [line.split(" ") for line in (text or "").splitlines()]
    installed = {row[0]: row[1] for row in rows if row[0] in PACKAGES and row[2:] == ["installed"]}
    if not installed:
        return note("packages", "not installed from Debian packages")
    shown = ", ".join(f"{name} {version}" for name, version in sorted(installed.items()))
    if len(installed) < len(PACKAGES) or len(set(installed.values())) > 1:
        return problem(
            "packages", f"they do not fit together: {shown}", f"install {' and '.join(PACKAGES)} anew"
        )
    return ok("packages", shown)


async def check_service(machine: Machine) -> Finding:
    """The system service."""
    if not machine.has_systemd:
        return note("service", "no systemd here: something else has to start eventd")
    text = await machine.tool("systemctl", "show", UNIT, f"--property={','.join(PROPERTIES)}")
    if text is None:
        return note("service", "systemd does not answer", "systemctl status")
    return _judge_service(dict(line.split("=", 1) for line in text.splitlines() if "=" in line))


def _judge_service(unit: dict[str, str]) -> Finding:
    load, active = unit.get("LoadState", ""), unit.get("ActiveState", "")
    if load == "not-found":
        return problem("service", f"{UNIT} is not installed", "install the package guestmux-guest")
    if load == "masked":
        return problem("service", f"{UNIT} is masked", f"systemctl unmask guestmux-eventd; {START}")
    if load != "loaded":
        return problem("service", f"{UNIT} cannot be loaded: {load}", f"systemctl status {UNIT}")
    if active != "active":
        result = unit.get("Result", "")
        why = f", result {result}" if result not in ("", "success") else ""
        return problem("service", f"{active} ({unit.get('SubState', '')}){why}", f"{READ_JOURNAL}; {START}")
    if unit.get("NRestarts", "0").isdecimal() and int(unit.get("NRestarts", "0")) > MANY_RESTARTS:
        return problem("service", f"active, but restarted {unit['NRestarts']} times", READ_JOURNAL)
    if unit.get("UnitFileState") == "disabled":
        return note("service", "active; not started at boot, only when a port or an agent comes", START)
    return ok("service", f"active, {unit.get('UnitFileState') or 'no state'} at boot")


def check_process(machine: Machine) -> Finding:
    """Whether one eventd runs."""
    running = eventd_processes(machine)
    if not running:
        # hidepid= of /proc hides others' processes from ordinary users.
        what = "no eventd is seen running"
        if not machine.is_root and not machine.path("/proc/1/comm").exists():
            return note("process", f"{what}; only root can see", "run this as root")
        return problem("process", what, START if machine.has_systemd else "start guestmux-eventd")
    what = ", ".join(f"pid {found.pid}, user {found.user}" for found in running)
    if len(running) > 1:
        return note("process", f"{len(running)} run: {what}", "one is enough: a port opens once")
    if running[0].user == "root":
        return note("process", f"{what}: it needs no privilege", "run it as a user of its own")
    return ok("process", what)


def check_policy(machine: Machine) -> Finding:
    """Whether the bus policy is there that lets eventd own its name."""
    if path := machine.first_of(POLICY_FILES):
        return ok("bus policy", path)
    do = "install the package guestmux-guest; it needs a reload of the bus only where installed by hand"
    return problem("bus policy", "org.guestmux.conf is not installed: eventd cannot own its name", do)
