"""Where applications are installed, by whom and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from guestmux_protocol.installed_commands import Origin, Scope
from guestmux_session.desktop.desktop_file import folders_of, own_data

FLATPAK = Path("/var/lib/flatpak")
"""Flatpak's installation for all users (flatpak(1))."""

SNAPD = Path("/var/lib/snapd/desktop")
"""What snapd exports for desktops."""


@dataclass(frozen=True)
class Place:
    """A folder of desktop files.

    Attributes:
        folder: it.
        origin: who puts applications there.
        scope: for whom.
    """

    folder: Path
    origin: Origin
    scope: Scope


def places_of(environment: Mapping[str, str]) -> list[Place]:
    """All of them, the most important first; those that the session's variables do not name come last.

    Args:
        environment: the session's variables.
    """
    own = own_data(environment)
    known = [
        Place(own / "applications", "user", "user"),
        Place(own / "flatpak/exports/share/applications", "flatpak", "user"),
        Place(FLATPAK / "exports/share/applications", "flatpak", "system"),
        Place(SNAPD / "applications", "snap", "system"),
    ]
    by_folder = {place.folder: place for place in known}
    named = [by_folder.get(one) or Place(one, "system", "system") for one in folders_of(environment)]
    return [*dict.fromkeys([*named, *known])]
