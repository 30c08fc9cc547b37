"""The table that the modules beside it enter qemu-ga's commands, and our additions to them, into."""

from __future__ import annotations

from guestmux_protocol.registry import Command

GUEST: dict[str, Command] = {}
"""The guest-* commands that an agent serves, by name; names and types are those of QEMU's qga/qapi-schema.json."""
