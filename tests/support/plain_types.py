"""Types as the schema files of QEMU write them, for tests to compare."""

from __future__ import annotations

from typing import Any

from guestmux_protocol.schema import Array, Enumeration, Object, Type
from guestmux_protocol.schema_notation import to_notation


def plain(kind: Type) -> Any:
    """A type in QAPI's notation; unlike `to_notation` it says the members of an object that may have others."""
    if isinstance(kind, Array):
        return [plain(kind.items)]
    if isinstance(kind, Enumeration):
        return set(kind.values)
    if isinstance(kind, Object):
        return {f"{'' if each.required else '*'}{each.name}": plain(each.type) for each in kind.members}
    return to_notation(kind)
