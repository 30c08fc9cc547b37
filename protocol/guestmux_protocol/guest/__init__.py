"""What qemu-ga serves, as typed classes: files, processes, facts, power."""

from guestmux_protocol.guest import (
    accounts,
    clock,
    facts,
    files,
    freeze,
    hardware,
    network,
    power,
    processes,
    storage,
)
from guestmux_protocol.guest.table import GUEST

__all__ = [
    "GUEST",
    "accounts",
    "clock",
    "facts",
    "files",
    "freeze",
    "hardware",
    "network",
    "power",
    "processes",
    "storage",
]
