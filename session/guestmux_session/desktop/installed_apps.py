"""The applications that the session's user could start, read from their desktop files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping

from msgspec import UNSET, structs

from guestmux_protocol.installed_commands import MAX_CATEGORIES, MAX_MIME_TYPES, InstalledApp
from guestmux_session.desktop.app_places import Place
from guestmux_session.desktop.app_versions import KEYS, version_of
from guestmux_session.desktop.desktop_file import MAX_TEXT, DesktopFile, desktop_files
from guestmux_session.desktop.texts import one_line

_USED = frozenset(
    {"Type", "Name", "NoDisplay", "Hidden", "OnlyShowIn", "NotShowIn", "TryExec", "Categories", "MimeType"}
)
_TRUE = "true"


def installed_apps(places: Iterable[Place], environment: Mapping[str, str]) -> Iterator[InstalledApp]:
    """Read them, each id once; in a thread.

    Args:
        places: where they are, the most important first.
        environment: the session's variables.
    """
    by_folder = {place.folder: place for place in places}
    names = name_keys(environment)
    seen: set[str] = set()
    for file in desktop_files(by_folder, _USED | KEYS | {*names}):
        if file.app_id in seen:
            continue
        seen.add(file.app_id)
        if _is_there(file, environment):
            yield _app(by_folder[file.folder], file, names, environment)


def without_mime_types(app: InstalledApp) -> InstalledApp:
    """The same, for who did not ask what it opens."""
    return structs.replace(app, mime_types=UNSET)


def name_keys(environment: Mapping[str, str]) -> list[str]:
    """The keys that may have the name in the session's language, the best first (specification, "Localized values")."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    plain, _, modifier = locale.partition("@")
    country = plain.partition(".")[0]
    language = country.partition("_")[0]
    modified = [f"{country}@{modifier}"] if modifier else []
    modified_language = [f"{language}@{modifier}"] if modifier else []
    found = [*modified, country, *modified_language, language]
    return [f"Name[{one}]" for one in dict.fromkeys(found) if one not in ("", "C", "POSIX")] + ["Name"]


def _is_there(file: DesktopFile, environment: Mapping[str, str]) -> bool:
    """Whether it is not deleted by the user, and its program is installed."""
    if file.values.get("Hidden") == _TRUE:
        return False
    program = file.values.get("TryExec")
    return not program or shutil.which(program, path=environment.get("PATH")) is not None


def _app(
    place: Place, file: DesktopFile, names: Iterable[str], environment: Mapping[str, str]
) -> InstalledApp:
    values = file.values
    name = next(filter(None, map(values.get, names)), file.app_id)
    return InstalledApp(
        app_id=file.app_id,
        name=one_line(name, MAX_TEXT),
        version=version_of(place, file) or UNSET,
        origin=place.origin,
        scope=place.scope,
        categories=_items(values.get("Categories", ""), MAX_CATEGORIES),
        mime_types=_items(values.get("MimeType", ""), MAX_MIME_TYPES),
        hidden=_is_hidden(values, environment),
    )


def _is_hidden(values: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    desktops = {*filter(None, environment.get("XDG_CURRENT_DESKTOP", "").split(":"))}
    only, never = values.get("OnlyShowIn", ""), values.get("NotShowIn", "")
    if values.get("NoDisplay") == _TRUE or desktops.intersection(never.split(";")):
        return True
    return bool(only) and not desktops.intersection(only.split(";"))


def _items(text: str, limit: int) -> list[str]:
    return [one_line(item, MAX_TEXT) for item in text.split(";") if item][:limit]
