"""The commands of the system agent, as QEMU's qga/qapi-schema.json (10.2) has them."""

from typing import Any

import pytest

from guestmux_protocol.guest import GUEST
from guestmux_protocol.schema import Array, Enumeration, Object, Type, describe
from guestmux_protocol.schema_notation import to_notation

ARGUMENTS: dict[str, dict[str, Any]] = {
    "guest-shutdown": {"*mode": "str"},
    "guest-suspend-disk": {},
    "guest-suspend-ram": {},
    "guest-suspend-hybrid": {},
    "guest-set-time": {"*time": "int"},
    "guest-fsfreeze-status": {},
    "guest-fsfreeze-freeze": {},
    "guest-fsfreeze-freeze-list": {"*mountpoints": ["str"]},
    "guest-fsfreeze-thaw": {},
    "guest-fstrim": {"*minimum": "int"},
    "guest-set-user-password": {"username": "str", "password": "str", "crypted": "bool"},
    "guest-ssh-get-authorized-keys": {"username": "str"},
    "guest-ssh-add-authorized-keys": {"username": "str", "keys": ["str"], "*reset": "bool"},
    "guest-ssh-remove-authorized-keys": {"username": "str", "keys": ["str"]},
}

RETURNS: dict[str, Any] = {
    "guest-fsfreeze-status": {"thawed", "frozen"},
    "guest-fsfreeze-freeze": "int",
    "guest-fsfreeze-freeze-list": "int",
    "guest-fsfreeze-thaw": "int",
    "guest-fstrim": {
        "paths": [{"path": "str", "*trimmed": "int", "*minimum": "int", "*error": "str"}],
    },
    "guest-ssh-get-authorized-keys": {"keys": ["str"]},
}
"""Of the others: an empty object."""

UNANSWERED = {"guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"}


def plain(kind: Type) -> Any:
    """A type in the notation above."""
    if isinstance(kind, Array):
        return [plain(kind.items)]
    if isinstance(kind, Enumeration):
        return set(kind.values)
    if isinstance(kind, Object):
        return {f"{'' if each.required else '*'}{each.name}": plain(each.type) for each in kind.members}
    return to_notation(kind)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_command_is_as_in_qemus_schema(name: str) -> None:
    command = GUEST[name]
    assert to_notation(command.arguments) == ARGUMENTS[name]
    assert plain(command.returns) == RETURNS.get(name, {}), describe(command.returns)
    assert command.success_response is (name not in UNANSWERED)
