"""The ports: whether each is there, who may open it, and who has it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import assert_never

from guestmux_eventd.config import Config
from guestmux_eventd.doctor.machine import Machine, user_name
from guestmux_eventd.doctor.processes import Process, eventd_processes, holders, stock_agents
from guestmux_protocol.addresses import (
    Device,
    InheritedFd,
    PortAddress,
    UnixConnect,
    UnixListen,
    Virtio,
    VsockListen,
)
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_transport.char_device import VIRTIO_CLASS, VIRTIO_LINKS, virtio_path
from guestmux_transport.pipe_errors import NotFoundError

STOCK_PORT = "org.qemu.guest_agent.0"
"""The port that a stock qemu-ga opens by default."""

EVENTD_USER = "guestmux"

UDEV_RULES = tuple(
    f"{folder}/udev/rules.d/60-guestmux.rules" for folder in ("/etc", "/run", "/usr/lib", "/lib")
)

VSOCK = "/dev/vsock"

HAND_OVER = "udevadm trigger --action=change --subsystem-match=virtio-ports"
BESIDE_STOCK = f"to give it to eventd: systemctl mask --now qemu-guest-agent, then {HAND_OVER}"
SEE_JOURNAL = "journalctl -u guestmux-eventd has the reason"


def check_ports(machine: Machine, config: Config) -> list[Finding]:
    """A finding for each port that is configured."""
    addresses = [port.parsed_address() for port in config.port]
    missing = {address: text for address in addresses if (text := _missing(machine, address))}
    # A machine may have been given only some of the ports; with none of them no host gets in.
    lacks_all = len(missing) == len(addresses)
    return [
        _check_missing(address, missing[address], lacks_all=lacks_all)
        if address in missing
        else _check_present(machine, address)
        for address in addresses
    ]


def check_port(machine: Machine, address: PortAddress) -> Finding:
    """A port whose device is there."""
    check = f"port {address}"
    match address:
        case InheritedFd():
            return note(check, "a descriptor that eventd was started with cannot be looked at from here")
        case VsockListen():
            return note(check, f"this machine has {VSOCK}; who listens there cannot be looked at from here")
        case UnixConnect():
            return ok(check, "the socket is there; eventd dials it")
        case UnixListen(path):
            return _check_socket(machine, check, machine.path(path))
        case Virtio(name):
            return _check_device(machine, check, _device(machine, name), is_stock=name == STOCK_PORT)
        case Device(path):
            return _check_device(machine, check, machine.path(path), is_stock=False)
    assert_never(address)


def check_stock_agent(machine: Machine) -> Finding:
    """Whether a stock qemu-ga runs."""
    if running := stock_agents(machine):
        return note("stock qemu-ga", f"runs: {_names(running)}; it serves the port or socket that it holds")
    installed = machine.first_of(("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga"))
    return ok("stock qemu-ga", f"does not run{', though it is installed' if installed else ''}")


def check_udev_rule(machine: Machine) -> Finding:
    """Whether the rule is there that hands virtio ports to eventd."""
    for path in UDEV_RULES:
        found = machine.path(path)
        if found.is_symlink() and str(found.readlink()) == "/dev/null":
            return problem("udev rule", f"{path} masks it", f"rm {path}, then {HAND_OVER}")
        if found.exists():
            return ok("udev rule", path)
    return problem("udev rule", "60-guestmux.rules is not installed", "install the package guestmux-guest")


def _check_present(machine: Machine, address: PortAddress) -> Finding:
    try:
        return check_port(machine, address)
    except (OSError, NotFoundError):
        return note(f"port {address}", "it came or went while it was looked at", "look again")


def _missing(machine: Machine, address: PortAddress) -> str:
    """What a port lacks to be opened; empty for nothing."""
    match address:
        case Virtio(name):
            try:
                virtio_path(name, machine.path(str(VIRTIO_LINKS)), machine.path(str(VIRTIO_CLASS)))
            except NotFoundError:
                return "this machine has no virtio-serial port of that name"
        case Device(path) | UnixConnect(path) | UnixListen(path):
            if not machine.path(path).exists():
                return f"there is no {path}"
        case VsockListen():
            return "" if machine.path(VSOCK).exists() else "this machine has no vsock"
        case InheritedFd():
            return ""
    return ""


def _check_missing(address: PortAddress, what: str, *, lacks_all: bool) -> Finding:
    match address:
        case Virtio(name):
            do = f"on the host: -device virtserialport,name={name},chardev=..., or libvirt's <channel>"
        case VsockListen():
            do = "on the host: -device vhost-vsock-pci,guest-cid=..., or libvirt's <vsock>"
        case UnixListen():
            # eventd itself makes it, so there is no machine that lacks it.
            return problem(f"port {address}", what, f"is eventd running? {SEE_JOURNAL}")
        case _:
            do = "correct the address in the configuration, or make what it names"
    if lacks_all:
        return problem(f"port {address}", what, do)
    return note(f"port {address}", f"{what}; it is waited for", do)


def _device(machine: Machine, name: str) -> Path:
    return Path(virtio_path(name, machine.path(str(VIRTIO_LINKS)), machine.path(str(VIRTIO_CLASS))))


def _check_device(machine: Machine, check: str, path: Path, *, is_stock: bool) -> Finding:
    status = path.stat()
    if not stat.S_ISCHR(status.st_mode):
        return problem(check, f"{path} is no character device", "correct the address in the configuration")
    access = _access(status.st_uid, status.st_mode)
    holding = holders(machine, path)
    if others := [found for found in holding if not _is_eventd(machine, found)]:
        return _check_held(check, others, is_stock=is_stock)
    if holding:
        return ok(check, f"eventd holds it; {access}")
    if is_stock and user_name(status.st_uid) != EVENTD_USER and stock_agents(machine):
        return note(check, f"left to the stock qemu-ga; {access}", BESIDE_STOCK)
    if not machine.is_root:
        return note(check, f"it is there; {access}; only root can see who holds it", "run this as root")
    return problem(
        check, f"nobody holds it; {access}", f"start eventd; if it runs, {SEE_JOURNAL}; then {HAND_OVER}"
    )


def _check_held(check: str, others: list[Process], *, is_stock: bool) -> Finding:
    what = f"held by {_names(others)}; a port opens once"
    if is_stock and all(holder.name == "qemu-ga" for holder in others):
        return note(check, what, BESIDE_STOCK)
    return problem(check, what, "stop it, or take the port out of the configuration")


def _check_socket(machine: Machine, check: str, path: Path) -> Finding:
    status = path.stat()
    if not stat.S_ISSOCK(status.st_mode):
        return problem(check, f"{path} is no socket", "remove it, or name another path")
    access = _access(status.st_uid, status.st_mode)
    listening = holders(machine, path)
    if any(_is_eventd(machine, found) for found in listening):
        return ok(check, f"eventd listens; {access}")
    if listening:
        return problem(check, f"held by {_names(listening)}", "stop it, or name another path")
    if not machine.is_root:
        return note(check, f"it is there; {access}; only root can see who listens", "run this as root")
    return problem(check, f"a dead process's socket: nobody listens; {access}", "start eventd")


def _is_eventd(machine: Machine, process: Process) -> bool:
    return process.pid in {found.pid for found in eventd_processes(machine)}


def _names(found: list[Process]) -> str:
    return ", ".join(map(str, found))


def _access(uid: int, mode: int) -> str:
    return f"owner {user_name(uid)}, mode {stat.S_IMODE(mode):04o}"
