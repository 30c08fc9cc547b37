"""What a monitor says of itself (VESA E-EDID 1.4): who made it, and what it is called.

Its serial number is there as well, and is told to nobody: hosts need it for nothing, and it goes with its owner from
one machine to the next.
"""

from __future__ import annotations

from typing import NamedTuple

from guestmux_session.desktop.texts import one_line

BLOCK_BYTES = 128
"""The first block; the others are about sound and more modes."""

_HEADER = b"\x00\xff\xff\xff\xff\xff\xff\x00"
_DESCRIPTORS = range(54, 126, 18)
_NAME_DESCRIPTOR = b"\x00\x00\x00\xfc\x00"
_NAME_BYTES = 13


class Monitor(NamedTuple):
    """Who made it and what it is; empty where it does not say."""

    make: str
    model: str


def read_edid(untrusted_block: bytes) -> Monitor:
    """Read the first block; what is none says nothing."""
    if len(untrusted_block) < BLOCK_BYTES or not untrusted_block.startswith(_HEADER):
        return Monitor("", "")
    packed = int.from_bytes(untrusted_block[8:10], "big")
    letters = [packed >> shift & 0x1F for shift in (10, 5, 0)]
    make = "".join(chr(ord("A") + letter - 1) for letter in letters if 1 <= letter <= 26)
    return Monitor(make if len(make) == 3 else "", _name(untrusted_block))


def _name(block: bytes) -> str:
    for at in _DESCRIPTORS:
        if block.startswith(_NAME_DESCRIPTOR, at):
            text = block[at + 5 : at + 5 + _NAME_BYTES].split(b"\n")[0]
            return one_line(text.decode("latin-1"), _NAME_BYTES).strip()
    return ""
