"""The names that desktops (systemd.io/DESKTOP_ENVIRONMENTS) and snapd give to applications' units."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_SCOPE = re.compile(r"app-(?:(?P<launcher>[^-]+)-)?(?P<app>[^-]+)-(?P<random>[^-]+)\.scope")
_SERVICE = re.compile(r"app-(?:(?P<launcher>[^-]+)-)?(?P<app>[^-@]+)(?:@(?P<random>[^-]+))?\.service")
_SNAP = re.compile(
    r"snap\.(?P<snap>[^.]+)\.(?P<app>[^.]+)[-.][0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.scope"
)
"""As snapd names them (its sandbox/cgroup); older ones have a dot before the number."""

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
_MAX_ID_BYTES = 48
"""Bytes of an id: escaped, with what stands around it, they stay below the 255 of a unit's name."""

OWN_PREFIX = "app-guestmux-exec-"
"""Scopes of what hosts run by guest-exec: no applications of the user's."""


def app_of_unit(unit: str) -> str:
    """The application's id in a unit's name; empty where there is none."""
    if unit.startswith(OWN_PREFIX):
        return ""
    if snap := _SNAP.fullmatch(unit):
        # As snapd names the desktop files.
        return f"{snap['snap']}_{snap['app']}"
    match = _SCOPE.fullmatch(unit) or _SERVICE.fullmatch(unit)
    return _unescaped(match["app"]) if match else ""


def _unescaped(text: str) -> str:
    """Undo systemd's escaping, by which an id has no `-`."""
    data = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    return data.encode("latin-1", errors="replace").decode(errors="replace")


def scope_for(app_id: str, random: str) -> str:
    """The name of a scope for an application that we start."""
    data = app_id.encode()
    escaped = "".join(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in data[:_MAX_ID_BYTES])
    return f"app-guestmux-{escaped}-{random}.scope"
