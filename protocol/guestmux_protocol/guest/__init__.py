"""What qemu-ga serves, as typed classes: files, processes, facts, power."""

from guestmux_protocol.guest.table import GUEST

__all__ = ["GUEST"]
