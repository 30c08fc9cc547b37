"""Timings for a size that a display does not list (VESA Coordinated Video Timings 1.1, with reduced blanking)."""

from __future__ import annotations

from guestmux_session.desktop.randr_wire import Mode

REFRESH = 60.0
"""Hertz, where nobody asks for another."""

PREFIX = b"guestmux-"
"""Of the names of modes that the agent has made: it takes them away again when they are used no more."""

_H_BLANK, _H_SYNC, _H_FRONT = 160, 32, 48
_V_FRONT, _V_BACK = 3, 6
_MIN_V_BLANK = 460e-6
_H_SYNC_POSITIVE, _V_SYNC_NEGATIVE = 0x1, 0x8
_SYNC_LINES = {(4, 3): 4, (16, 9): 5, (16, 10): 6, (5, 4): 7, (15, 9): 7}
_OTHER_SYNC_LINES = 10


def made_mode(width: int, height: int, refresh: float) -> Mode:
    """A mode of a size, which is not rounded to the cells of eight pixels that CVT has: virtual displays take any.

    Args:
        width: pixels.
        height: pixels.
        refresh: hertz.
    """
    sync = next(
        (lines for (x, y), lines in _SYNC_LINES.items() if width * y == height * x), _OTHER_SYNC_LINES
    )
    line = (1 / refresh - _MIN_V_BLANK) / height
    blank = max(int(_MIN_V_BLANK / line) + 1 if line > 0 else 0, _V_FRONT + sync + _V_BACK)
    h_start, v_start = width + _H_FRONT, height + _V_FRONT
    h_total, v_total = width + _H_BLANK, height + blank
    return Mode(
        *(0, width, height, round(refresh * h_total * v_total)),
        (h_start, h_start + _H_SYNC, h_total),
        (v_start, v_start + sync, v_total),
        _H_SYNC_POSITIVE | _V_SYNC_NEGATIVE,
        PREFIX + f"{width}x{height}-{refresh:g}".encode(),
    )
