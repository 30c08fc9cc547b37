"""X11's messages about selections as bytes (X Window System Protocol; XFixes 1, fixesproto.txt); without I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from guestmux_session.desktop.x11_wire import PROPERTY_CHANGE_MASK, padded, request

STRUCTURE_NOTIFY_MASK = 1 << 17

DESTROY_NOTIFY = 17
SELECTION_CLEAR, SELECTION_REQUEST, SELECTION_NOTIFY = 29, 30, 31
XFIXES_SELECTION_NOTIFY = 0
"""From the extension's first event on."""

NONE = CURRENT_TIME = 0
ATOM, INTEGER, STRING = 4, 19, 31
"""Predefined atoms."""

REPLACE, APPEND = 0, 2

_INPUT_ONLY = 2
_OWNER_CHANGES = 0b111
_REQUEST = struct.Struct("<4xIIIIII")


@dataclass(frozen=True)
class Asked:
    """SelectionRequest: a program wants the content. All members but the time are resources or atoms."""

    time: int
    owner: int
    requestor: int
    selection: int
    target: int
    property: int


def read_asked(event: bytes) -> Asked:
    """A SelectionRequest."""
    return Asked(*_REQUEST.unpack_from(event))


def word(event: bytes, offset: int) -> int:
    """Four bytes of an event: a window, an atom, a time."""
    return int.from_bytes(event[offset : offset + 4], "little")


def create_window(window: int, root: int) -> bytes:
    """CreateWindow: one that is never shown, and has properties whose changes are told."""
    head = struct.pack("<IIhhHHHHI", window, root, -1, -1, 1, 1, 0, _INPUT_ONLY, 0)
    return request(1, 0, head + struct.pack("<II", 1 << 11, PROPERTY_CHANGE_MASK))


def destroy_window(window: int) -> bytes:
    """DestroyWindow."""
    return request(4, 0, struct.pack("<I", window))


def change_property(
    window: int, name: int, kind: int, bits: int, value: bytes | memoryview, mode: int = REPLACE
) -> bytes:
    """ChangeProperty.

    Args:
        window: whose.
        name: the property's atom.
        kind: its type's.
        bits: of an item.
        value: whole items.
        mode: REPLACE or APPEND.
    """
    head = struct.pack("<IIIBxxxI", window, name, kind, bits, len(value) * 8 // bits)
    return request(18, mode, head + padded(bytes(value)))


def take_property(window: int, name: int, offset: int, longs: int) -> bytes:
    """GetProperty: from an offset on, in units of four bytes; with its end the property is deleted."""
    return request(20, 1, struct.pack("<IIIII", window, name, 0, offset, longs))


def get_atom_name(atom: int) -> bytes:
    """GetAtomName."""
    return request(17, 0, struct.pack("<I", atom))


def atom_name(reply: bytes) -> bytes:
    """GetAtomName's answer."""
    (size,) = struct.unpack_from("<H", reply, 8)
    return reply[32 : 32 + size]


def set_owner(selection: int, owner: int, time: int) -> bytes:
    """SetSelectionOwner: a window of ours, or NONE."""
    return request(22, 0, struct.pack("<III", owner, selection, time))


def get_owner(selection: int) -> bytes:
    """GetSelectionOwner."""
    return request(23, 0, struct.pack("<I", selection))


def convert(selection: int, target: int, window: int, name: int) -> bytes:
    """ConvertSelection: have the owner put the content into a property of a window."""
    return request(24, 0, struct.pack("<IIIII", window, selection, target, name, CURRENT_TIME))


def notify(asked: Asked, name: int) -> bytes:
    """SendEvent: tell who asked in which property the content is; NONE: it cannot be had."""
    event = struct.pack(
        "<BxHIIIII8x", SELECTION_NOTIFY, 0, asked.time, asked.requestor, asked.selection, asked.target, name
    )
    return request(25, 0, struct.pack("<II", asked.requestor, 0) + event)


def xfixes_version(opcode: int) -> bytes:
    """XFixes' QueryVersion, which must come before all else of it."""
    return request(opcode, 0, struct.pack("<II", 1, 0))


def xfixes_select(opcode: int, root: int, selection: int, *, wanted: bool = True) -> bytes:
    """XFixes' SelectSelectionInput: be told when a selection's owner changes, or not any more."""
    mask = _OWNER_CHANGES if wanted else 0
    return request(opcode, 2, struct.pack("<III", root, selection, mask))


def extension(reply: bytes) -> tuple[int, int] | None:
    """QueryExtension's answer: major opcode and first event; None: the server lacks it."""
    return (reply[9], reply[10]) if reply[8] else None
