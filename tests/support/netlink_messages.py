"""Messages as the kernel sends them on an rtnetlink(7) socket."""

from __future__ import annotations

import struct

NEW_LINK, NEW_ADDRESS, DONE = 16, 20, 3
ETHERNET = bytes.fromhex("525400123456")


def attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("=HH", len(value) + 4, kind) + value).ljust((len(value) + 7) & ~3, b"\0")


def message(kind: int, body: bytes, flags: int = 2) -> bytes:
    return (struct.pack("=IHHII", len(body) + 16, kind, flags, 1, 0) + body).ljust(
        (len(body) + 19) & ~3, b"\0"
    )


def link(index: int, name: str, hardware: bytes | None = ETHERNET) -> bytes:
    attributes = attribute(3, name.encode() + b"\0") + (
        attribute(1, hardware) if hardware is not None else b""
    )
    return message(NEW_LINK, struct.pack("=BxHiII", 0, 1, index, 0, 0) + attributes)


def address(index: int, prefix: int, family: int, *attributes: tuple[int, bytes]) -> bytes:
    body = struct.pack("=BBBBI", family, prefix, 0, 0, index)
    return message(NEW_ADDRESS, body + b"".join(attribute(*each) for each in attributes))
