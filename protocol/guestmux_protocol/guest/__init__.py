"""What qemu-ga serves, as typed classes: files, processes, facts, power."""

from guestmux_protocol.guest import accounts, clock, files, freeze, power, processes
from guestmux_protocol.guest.table import GUEST

__all__ = ["GUEST", "accounts", "clock", "files", "freeze", "power", "processes"]
