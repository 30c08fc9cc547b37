"""RandR's messages as bytes (randrproto.txt, version 1.3): what the agent asks, and what it is told. No I/O here."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from guestmux_session.desktop.errors import WireError
from guestmux_session.desktop.x11_wire import Property, property_of, request

VERSION = (1, 3)
"""From 2009; it has the primary output, and resources without asking the hardware."""

SCREEN_CHANGE_NOTIFY, NOTIFY = 0, 1
"""Events, from the extension's first on."""

CHANGES_MASK = 0b111
"""Changes of the screen, of CRTCs and of outputs."""

NONE = 0
SUCCESS = 0
CONNECTED = 0
ROTATE_0, ROTATE_90, ROTATE_180, ROTATE_270, REFLECT_X, REFLECT_Y = (1 << bit for bit in range(6))
_INTERLACE, _DOUBLE_SCAN = 0x10, 0x20

MAX_NAME = 64
"""Bytes of a mode's name that are looked at."""

MAX_MODES = 4096
"""Modes of a screen that are looked at: any program may make some, and they are read after each change."""

_MODE = struct.Struct("<IHHIHHHHHHHHI")
_RESOURCES = struct.Struct("<8xIIHHHH")
_OUTPUT = struct.Struct("<8xIIIIBBHHHHH")
_CRTC = struct.Struct("<8xIhhHHIHHHH")


@dataclass(frozen=True)
class Mode:
    """A mode.

    Attributes:
        id: the server's number for it; 0: it has none yet.
        width, height: pixels.
        clock: pixels a second.
        horizontal, vertical: where the sync pulse begins and ends, and the total.
        flags: as RandR has them.
        name: for people.
    """

    id: int
    width: int
    height: int
    clock: int
    horizontal: tuple[int, int, int]
    vertical: tuple[int, int, int]
    flags: int = 0
    name: bytes = b""

    @property
    def refresh(self) -> float:
        """Pictures a second; 0 where it cannot be told."""
        lines = float(self.vertical[2])
        if self.flags & _DOUBLE_SCAN:
            lines *= 2
        if self.flags & _INTERLACE:
            lines /= 2
        total = self.horizontal[2] * lines
        return self.clock / total if total else 0.0


@dataclass(frozen=True)
class Resources:
    """What a screen has, by number.

    Attributes:
        config_time: of the last change in what there is; requests name it.
    """

    config_time: int
    crtcs: tuple[int, ...]
    outputs: tuple[int, ...]
    modes: tuple[Mode, ...]


@dataclass(frozen=True)
class Output:
    """A connector.

    Attributes:
        id: its number.
        name: for people.
        crtc: what feeds it; 0: nothing.
        connected: something is plugged in.
        width_mm, height_mm: of the picture; 0: unknown.
        crtcs: those that can feed it.
        modes: the modes that it can show, the preferred ones first.
        preferred: how many are.
    """

    id: int
    name: str
    crtc: int
    connected: bool
    width_mm: int
    height_mm: int
    crtcs: tuple[int, ...]
    modes: tuple[int, ...]
    preferred: int


@dataclass(frozen=True)
class Crtc:
    """What feeds outputs with a part of the screen.

    Attributes:
        id: its number.
        x, y, width, height: the part.
        mode: 0: it is off.
        rotation: how the part is turned and mirrored.
        rotations: how it could be.
        outputs: whom it feeds.
    """

    id: int
    x: int
    y: int
    width: int
    height: int
    mode: int
    rotation: int
    rotations: int
    outputs: tuple[int, ...]


def query_version(opcode: int) -> bytes:
    """RRQueryVersion, which must come before all else of it."""
    return request(opcode, 0, struct.pack("<II", *VERSION))


def version_of(reply: bytes) -> tuple[int, int]:
    """RRQueryVersion's answer."""
    major, minor = struct.unpack_from("<II", reply, 8)
    return int(major), int(minor)


def select(opcode: int, root: int, mask: int) -> bytes:
    """RRSelectInput: of which changes to be told."""
    return request(opcode, 4, struct.pack("<IHxx", root, mask))


def get_size_range(opcode: int, root: int) -> bytes:
    """RRGetScreenSizeRange."""
    return request(opcode, 6, struct.pack("<I", root))


def size_range_of(reply: bytes) -> tuple[int, int, int, int]:
    """RRGetScreenSizeRange's answer: the least width and height, and the most."""
    least_width, least_height, most_width, most_height = struct.unpack_from("<HHHH", reply, 8)
    return int(least_width), int(least_height), int(most_width), int(most_height)


def set_size(opcode: int, root: int, size: tuple[int, int], size_mm: tuple[int, int]) -> bytes:
    """RRSetScreenSize. It has no answer."""
    return request(opcode, 7, struct.pack("<IHHII", root, *size, *size_mm))


def get_resources(opcode: int, root: int) -> bytes:
    """RRGetScreenResourcesCurrent: without asking the hardware, which stops the server for a while."""
    return request(opcode, 25, struct.pack("<I", root))


def resources_of(reply: bytes) -> Resources:
    """RRGetScreenResourcesCurrent's answer. Raises WireError."""
    try:
        _time, config_time, crtcs, outputs, modes, _names = _RESOURCES.unpack_from(reply)
        at = 32
        crtc_ids = struct.unpack_from(f"<{crtcs}I", reply, at)
        at += 4 * crtcs
        output_ids = struct.unpack_from(f"<{outputs}I", reply, at)
        at += 4 * outputs
        return Resources(config_time, crtc_ids, output_ids, _modes(reply, at, modes))
    except struct.error as error:
        raise WireError("the screen's resources do not hold what they say") from error


def _modes(reply: bytes, at: int, count: int) -> tuple[Mode, ...]:
    modes = []
    name_at = at + count * _MODE.size
    for number in range(min(count, MAX_MODES)):
        packed = _MODE.unpack_from(reply, at + number * _MODE.size)
        mode, width, height, clock, h_start, h_end, h_total, _skew, v_start, v_end, v_total, length, flags = (
            packed
        )
        name = reply[name_at : name_at + min(length, MAX_NAME)]
        name_at += length
        horizontal, vertical = (h_start, h_end, h_total), (v_start, v_end, v_total)
        modes.append(Mode(mode, width, height, clock, horizontal, vertical, flags, name))
    return tuple(modes)


def get_output(opcode: int, output: int, config_time: int) -> bytes:
    """RRGetOutputInfo."""
    return request(opcode, 9, struct.pack("<II", output, config_time))


def output_of(number: int, reply: bytes) -> Output:
    """RRGetOutputInfo's answer. Raises WireError."""
    try:
        told = _OUTPUT.unpack_from(reply)
        crtcs, modes, preferred, clones, length = told[6:]
        at = _OUTPUT.size
        crtc_ids = struct.unpack_from(f"<{crtcs}I", reply, at)
        at += 4 * crtcs
        mode_ids = struct.unpack_from(f"<{modes}I", reply, at)
        at += 4 * (modes + clones)
    except struct.error as error:
        raise WireError("an output does not hold what it says") from error
    _time, crtc, width_mm, height_mm, connection, _subpixels = told[:6]
    name = reply[at : at + length].decode(errors="replace")
    connected = connection == CONNECTED
    return Output(number, name, crtc, connected, width_mm, height_mm, crtc_ids, mode_ids, preferred)


def get_crtc(opcode: int, crtc: int, config_time: int) -> bytes:
    """RRGetCrtcInfo."""
    return request(opcode, 20, struct.pack("<II", crtc, config_time))


def crtc_of(number: int, reply: bytes) -> Crtc:
    """RRGetCrtcInfo's answer. Raises WireError."""
    try:
        _time, x, y, width, height, mode, rotation, rotations, outputs, _possible = _CRTC.unpack_from(reply)
        fed = struct.unpack_from(f"<{outputs}I", reply, _CRTC.size)
    except struct.error as error:
        raise WireError("a CRTC does not hold what it says") from error
    return Crtc(number, x, y, width, height, mode, rotation, rotations, fed)


def set_crtc(opcode: int, crtc: Crtc, config_time: int) -> bytes:
    """RRSetCrtcConfig, at no particular time."""
    fields = struct.pack("<IIIhhIHxx", crtc.id, 0, config_time, crtc.x, crtc.y, crtc.mode, crtc.rotation)
    return request(opcode, 21, fields + struct.pack(f"<{len(crtc.outputs)}I", *crtc.outputs))


def status_of(reply: bytes) -> int:
    """RRSetCrtcConfig's answer: SUCCESS, or why not."""
    return reply[1]


def create_mode(opcode: int, root: int, mode: Mode) -> bytes:
    """RRCreateMode: it lasts until it is destroyed, or the server resets."""
    h_start, h_end, h_total = mode.horizontal
    v_start, v_end, v_total = mode.vertical
    info = _MODE.pack(
        *(0, mode.width, mode.height, mode.clock, h_start, h_end, h_total, 0, v_start, v_end, v_total),
        *(len(mode.name), mode.flags),
    )
    return request(opcode, 16, struct.pack("<I", root) + info + mode.name)


def mode_of(reply: bytes) -> int:
    """RRCreateMode's answer."""
    return int(struct.unpack_from("<I", reply, 8)[0])


def destroy_mode(opcode: int, mode: int) -> bytes:
    """RRDestroyMode. It has no answer."""
    return request(opcode, 17, struct.pack("<I", mode))


def add_mode(opcode: int, output: int, mode: int) -> bytes:
    """RRAddOutputMode. It has no answer."""
    return request(opcode, 18, struct.pack("<II", output, mode))


def delete_mode(opcode: int, output: int, mode: int) -> bytes:
    """RRDeleteOutputMode. It has no answer."""
    return request(opcode, 19, struct.pack("<II", output, mode))


def set_primary(opcode: int, root: int, output: int) -> bytes:
    """RRSetOutputPrimary. It has no answer."""
    return request(opcode, 30, struct.pack("<II", root, output))


def get_primary(opcode: int, root: int) -> bytes:
    """RRGetOutputPrimary."""
    return request(opcode, 31, struct.pack("<I", root))


def primary_of(reply: bytes) -> int:
    """RRGetOutputPrimary's answer; 0: none."""
    return int(struct.unpack_from("<I", reply, 8)[0])


def get_output_property(opcode: int, output: int, name: int, longs: int) -> bytes:
    """RRGetOutputProperty: at most so many units of four bytes from its beginning."""
    return request(opcode, 15, struct.pack("<IIIIIBBxx", output, name, 0, 0, longs, 0, 0))


def output_property_of(reply: bytes) -> Property:
    """RRGetOutputProperty's answer, which is laid out as GetProperty's. Raises WireError."""
    return property_of(reply)


def grab() -> bytes:
    """GrabServer: nobody else is heard until `ungrab`, or until the connection ends. It has no answer."""
    return request(36)


def ungrab() -> bytes:
    """UngrabServer. It has no answer."""
    return request(37)
