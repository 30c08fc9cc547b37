"""The stock qemu-ga behind eventd."""

from __future__ import annotations

import stat

from guestmux_eventd.config import Config, backend_address
from guestmux_eventd.doctor.machine import Machine
from guestmux_protocol.findings import Finding, ok, problem

CHECK = "qemu-ga backend"
UNIT_SOCKET = "/run/guestmux-qemu-ga.sock"
"""Where the packages' guestmux-qemu-ga.socket listens."""


def check_backend(machine: Machine, config: Config) -> list[Finding]:
    """A finding where one is configured."""
    address = backend_address(config)
    if address is None:
        return []
    path = machine.path(address.path)
    if not path.exists():
        do = (
            "systemctl enable --now guestmux-qemu-ga.socket"
            if address.path == UNIT_SOCKET
            else f"have a qemu-ga listen there: qemu-ga -m unix-listen -p {address.path}"
        )
        return [problem(CHECK, f"there is no {address.path}", do)]
    if not stat.S_ISSOCK(path.stat().st_mode):
        return [problem(CHECK, f"{address.path} is no socket", "correct `backend` in the configuration")]
    if machine.first_of(("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga")) is None:
        return [problem(CHECK, "there is no qemu-ga to start", "install the package qemu-guest-agent")]
    return [ok(CHECK, "the socket is there; eventd dials it")]
