"""Numbers for people."""

from __future__ import annotations

from msgspec import UnsetType

_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int | UnsetType) -> str:
    """Bytes, as `4.8 MiB`; `-` where nobody knows."""
    if isinstance(count, UnsetType):
        return "-"
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if abs(value) < _STEP:
            break
        if unit != _UNITS[-1]:
            value /= _STEP
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def share(part: int | UnsetType, whole: int | UnsetType) -> str:
    """A part in per cent, as `12%`."""
    if isinstance(part, UnsetType) or isinstance(whole, UnsetType) or whole <= 0:
        return "-"
    return f"{100 * part / whole:.0f}%"


def offset(seconds: int) -> str:
    """A time zone's offset, as `UTC+02:00`."""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"UTC{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"
