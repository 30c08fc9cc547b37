"""guestmux's own version, and the forms in which the protocol shows it."""

from __future__ import annotations

VERSION = "0.1.0"

PACKAGE = f"guestmux-{VERSION}"
"""QMP's `package`: by this a host knows that the server is guestmux and no QEMU."""


def version_info() -> dict[str, object]:
    """QMP's VersionInfo. The member named `qemu` is the server's version: stock qmp-shell reads no other."""
    major, minor, micro = (int(part) for part in VERSION.split("."))
    return {"qemu": {"major": major, "minor": minor, "micro": micro}, "package": PACKAGE}
