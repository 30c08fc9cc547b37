"""X11's SYNC extension as bytes (X Synchronization Extension Protocol, version 3.1), as far as idleness needs it."""

from __future__ import annotations

import struct

from guestmux_session.desktop.errors import WireError
from guestmux_session.desktop.x11_wire import request

EXTENSION = "SYNC"
IDLE_COUNTER = "IDLETIME"
"""The counter that X.Org's servers have: milliseconds since the last input."""

ALARM_NOTIFY = 1
"""Behind the extension's first event."""

MAX_COUNTERS = 256
"""Counters that a server may list; X.Org has one for each input device, and three."""

_ABSOLUTE = 0
_POSITIVE_TRANSITION, _NEGATIVE_TRANSITION = 0, 1
_COUNTER, _VALUE_TYPE, _VALUE, _TEST, _DELTA, _EVENTS = 1, 2, 4, 8, 16, 32
_ALL = _COUNTER | _VALUE_TYPE | _VALUE | _TEST | _DELTA | _EVENTS


def initialize(major: int) -> bytes:
    """Say that version 3.1 is spoken, which comes first."""
    return request(major, 0, struct.pack("<BBxx", 3, 1))


def list_counters(major: int) -> bytes:
    """ListSystemCounters."""
    return request(major, 1)


def query_counter(major: int, counter: int) -> bytes:
    """QueryCounter."""
    return request(major, 5, struct.pack("<I", counter))


def create_alarm(major: int, alarm: int, counter: int, value: int, *, rising: bool) -> bytes:
    """CreateAlarm: tells whenever the counter goes over a value, or under it."""
    test = _POSITIVE_TRANSITION if rising else _NEGATIVE_TRANSITION
    values = (counter, _ABSOLUTE, *_halves(value), test, *_halves(0), 1)
    return request(major, 8, struct.pack("<IIIIiIIiII", alarm, _ALL, *values))


def destroy_alarm(major: int, alarm: int) -> bytes:
    """DestroyAlarm."""
    return request(major, 11, struct.pack("<I", alarm))


def first_event_of(reply: bytes) -> int:
    """QueryExtension's answer: the extension's first event."""
    return reply[10]


def counter_of(reply: bytes, name: str) -> int | None:
    """ListSystemCounters' answer: the counter of a name; None: there is none.

    Raises:
        WireError: it does not hold what it says.
    """
    (count,) = struct.unpack_from("<I", reply, 8)
    offset = 32
    try:
        for _ in range(min(count, MAX_COUNTERS)):
            counter, size = struct.unpack_from("<I8xH", reply, offset)
            if reply[offset + 14 : offset + 14 + size] == name.encode():
                return int(counter)
            offset += 14 + size + (-(14 + size) % 4)
    except struct.error as error:
        raise WireError("its counters are fewer than it says") from error
    return None


def value_of(reply: bytes) -> int:
    """QueryCounter's answer."""
    return _whole(*struct.unpack_from("<iI", reply, 8))


def alarm_of(event: bytes) -> tuple[int, int]:
    """AlarmNotify: which alarm, and what the counter's value was."""
    alarm, high, low = struct.unpack_from("<IiI", event, 4)
    return int(alarm), _whole(high, low)


def _halves(value: int) -> tuple[int, int]:
    return value >> 32, value & 0xFFFF_FFFF


def _whole(high: int, low: int) -> int:
    return (high << 32) | low
