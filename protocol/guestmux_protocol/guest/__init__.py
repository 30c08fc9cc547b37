"""What qemu-ga serves, as typed classes: files, processes, facts, power."""

from guestmux_protocol.guest import (
    accounts,
    clock,
    connect,
    facts,
    file_changes,
    file_facts,
    files,
    freeze,
    hardware,
    network,
    power,
    processes,
    storage,
    transfer,
)
from guestmux_protocol.guest.table import GUEST

__all__ = [
    "GUEST",
    "accounts",
    "clock",
    "connect",
    "facts",
    "file_changes",
    "file_facts",
    "files",
    "freeze",
    "hardware",
    "network",
    "power",
    "processes",
    "storage",
    "transfer",
]
