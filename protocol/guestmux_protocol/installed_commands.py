"""The stock session agent's command about installed applications: what the session's user could start."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

INSTALLED: dict[str, Command] = {}
"""This command, by name."""

MAX_INSTALLED = 2048
"""Applications of one answer, some 300 bytes each; a well-filled desktop has some four hundred."""

MAX_CATEGORIES = 32
"""Categories of one; the Desktop Menu Specification has some hundred altogether."""

MAX_MIME_TYPES = 512
"""MIME types of one; media players say some two hundred."""

Origin: TypeAlias = Literal["system", "user", "flatpak", "snap"]
Scope: TypeAlias = Literal["system", "user"]
SCOPE = doc("For whom it is installed: for all users, or for the session's alone.")


class InstalledApp(Data, frozen=True, kw_only=True, omit_defaults=False):
    """An installed application, as its desktop file says."""

    app_id: Annotated[str, doc("The desktop file's id, as in session-launch.")]
    name: Annotated[str, doc("In the session's language.")]
    version: Annotated[
        str | UnsetType, doc("Of Flatpaks and Snaps, where they say; desktop files have none.")
    ] = UNSET
    origin: Annotated[
        Origin, doc("`system`: the guest's package manager, or its administrator; `user`: the user's own.")
    ]
    scope: Annotated[Scope, SCOPE]
    categories: Annotated[list[str], doc("As in menus: `Network`, `WebBrowser`.")]
    mime_types: Annotated[list[str] | UnsetType, doc("What it opens; where they were asked for.")] = UNSET
    hidden: Annotated[bool, doc("No menu of this desktop has it.")]


class InstalledApps(Data, frozen=True, kw_only=True, omit_defaults=False):
    """What is installed."""

    apps: Annotated[list[InstalledApp], doc("By name.")]
    truncated: Annotated[bool, doc("There are more than are told.")]


@command(INSTALLED, "session-list-installed", returns=InstalledApps)
class SessionListInstalled(Arguments, frozen=True):
    """Tell the applications that the session's user could start: the system's, the user's own, Flatpaks and Snaps."""

    hidden: Annotated[bool, doc("Those as well that no menu has: helpers, and parts of others.")] = False
    mime_types: Annotated[bool, doc("Tell what each opens.")] = False
