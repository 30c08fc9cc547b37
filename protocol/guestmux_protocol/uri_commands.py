"""The stock session agent's command that opens a URI."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

URIS: dict[str, Command] = {}
"""The command, by its name."""

MAX_URI = 16 * 1024
"""Characters of a URI: twice what browsers are sure to take."""

MAX_APP_ID = 1024
"""Characters of a desktop file's id: more than a file's name may have."""


class OpenedUri(Data, frozen=True, kw_only=True, omit_defaults=False):
    """What opened it."""

    by: Annotated[
        Literal["portal", "dbus", "gio", "gtk-launch", "xdg-open"],
        doc("Who was asked: the desktop's portal, the application over the session bus, or which program."),
    ]
    confirmed: Annotated[
        bool, doc("False: the desktop may still be asking the user with which application; nobody said no.")
    ]


@command(URIS, "session-open-uri", returns=OpenedUri)
class SessionOpenUri(Arguments, frozen=True):
    """Open a URI with the application that the user has chosen for it.

    Only URIs whose scheme the guest's administrator allows: `uri-schemes` in session-agent.toml, which has http, https
    and mailto where it says nothing.
    """

    uri: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_URI)],
        doc("As `https://example.org/`; a file's is `file:///path`."),
    ]
    app_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_APP_ID)] | UnsetType,
        doc("The desktop file's id of another application, as in session-launch."),
    ] = UNSET
