"""Versions of applications, where whoever installed them says so without being run."""

from __future__ import annotations

import re
from pathlib import Path

from guestmux_session.desktop.app_places import Place
from guestmux_session.desktop.desktop_file import DesktopFile, read_text
from guestmux_session.desktop.texts import one_line

SNAPS = (Path("/snap"), Path("/var/lib/snapd/snap"))
"""Where Snaps are mounted: on Debian and its likes, and on Fedora's."""

MAX_VERSION = 64
"""Characters."""

KEYS = frozenset({"X-Flatpak", "X-SnapInstanceName"})
"""Of desktop files: whose they are."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Applications write what these read: neither goes over the same text again and again, whatever stands in it.
_RELEASE = re.compile(r"<release\b[^<>]*?\bversion=[\"']([^\"'<>]+)")
_SNAP_VERSION = re.compile(r"^version:[ \t]*+[\"']?([^\"'\n]+)", re.MULTILINE)


def version_of(place: Place, file: DesktopFile) -> str:
    """The version of the application that a desktop file is about; empty where nobody says.

    Args:
        place: where the file is.
        file: it, with KEYS among its values.
    """
    if place.origin == "flatpak":
        return _flatpak(place.folder.parents[2], file.values.get("X-Flatpak") or file.app_id)
    if place.origin == "snap":
        name = file.values.get("X-SnapInstanceName") or file.app_id.partition("_")[0]
        return _snap(name)
    return ""


def _flatpak(installation: Path, name: str) -> str:
    """The newest release in its AppStream metadata, which stands first."""
    if not _NAME.fullmatch(name):
        return ""
    share = installation / "app" / name / "current/active/files/share"
    for kind in ("metainfo", "appdata"):
        if found := _RELEASE.search(read_text(share / kind / f"{name}.{kind}.xml")):
            return one_line(found[1].rstrip(), MAX_VERSION)
    return ""


def _snap(name: str) -> str:
    if not _NAME.fullmatch(name):
        return ""
    for mounted in SNAPS:
        if found := _SNAP_VERSION.search(read_text(mounted / name / "current/meta/snap.yaml")):
            return one_line(found[1].rstrip(), MAX_VERSION)
    return ""
