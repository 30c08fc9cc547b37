"""The commands of the stock session agent, served in each user's session by guestmux-session."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.agent_commands import AGENTS
from guestmux_protocol.clipboard_commands import CLIPBOARD
from guestmux_protocol.display_commands import DISPLAY
from guestmux_protocol.events import TITLE, App
from guestmux_protocol.idle_commands import IDLE
from guestmux_protocol.inhibit_commands import INHIBIT
from guestmux_protocol.installed_commands import INSTALLED
from guestmux_protocol.notification_commands import NOTIFICATIONS, Line
from guestmux_protocol.registry import Arguments, Command, Data, command, doc
from guestmux_protocol.uri_commands import MAX_URI, URIS

SESSION: dict[str, Command] = {
    **AGENTS,
    **CLIPBOARD,
    **DISPLAY,
    **INSTALLED,
    **NOTIFICATIONS,
    **URIS,
    **INHIBIT,
    **IDLE,
}
"""The stock agent's commands, by name. An agent registers those that its platform can serve."""

MAX_URIS = 64
"""URIs that an application is started with: what a person selects, and little enough for a command line."""

Uri = Annotated[str, Meta(min_length=1, max_length=MAX_URI)]


class SessionInfo(Data, frozen=True):
    """The session as its agent sees it."""

    session: str
    user: str
    uid: int
    home: str
    shell: str
    desktop: Annotated[str, doc("XDG_CURRENT_DESKTOP, empty where there is none.")]
    display_server: Annotated[
        Literal["x11", "wayland", "none"], doc("What the session's windows are shown by.")
    ]
    environment: Annotated[dict[str, str], doc("The variables that programs of this session need.")]
    providers: Annotated[
        dict[str, str],
        doc("Each provider: `ok`, or the source that it has chosen, or what the platform lacks."),
    ]


class LockState(Data, frozen=True):
    """Whether the session is locked: logind's LockedHint says so, or a screensaver of the session does."""

    locked: bool
    confirmed: Annotated[bool, doc("False: no screen locker confirmed it in time.")]
    said_by: Annotated[
        list[str], doc("Who confirmed it: `logind`, services such as `org.gnome.ScreenSaver`.")
    ] = []
    values: Annotated[
        dict[str, bool] | UnsetType, doc("What each says, where they disagree: whether it is locked.")
    ] = UNSET


@command(SESSION, "session-lock", returns=LockState)
class SessionLockCommand(Arguments, frozen=True):
    """Lock the session's screen, and wait until a screen locker says that it is.

    It is asked through logind, and where that does not help through the desktop's screensaver service.
    """


@command(SESSION, "session-unlock", returns=LockState)
class SessionUnlockCommand(Arguments, frozen=True):
    """Unlock the session's screen, as session-lock does it; many screen lockers want a password all the same."""


@command(SESSION, "session-logout", returns=Data)
class SessionLogoutCommand(Arguments, frozen=True):
    """End the session, through logind. Programs in it get SIGTERM; what is unsaved is lost."""


@command(SESSION, "session-get-info", returns=SessionInfo)
class SessionGetInfo(Arguments, frozen=True):
    """Tell the session's user, desktop, display server and environment."""


AppId = Annotated[Line, Meta(min_length=1), doc("The desktop file's id, as in session-list-apps.")]
Pid = Annotated[
    Annotated[int, Meta(ge=1)] | UnsetType, doc("Which of several; the one that came last where not given.")
]


class RunningApp(App, frozen=True, kw_only=True, omit_defaults=False):
    """An application that runs in the session."""

    windows: Annotated[int, doc("How many it has; 0 where the session does not tell.")]
    focused: bool
    title: Annotated[str | UnsetType, TITLE] = UNSET


class RunningApps(Data, frozen=True, kw_only=True, omit_defaults=False):
    """The applications that run in the session."""

    apps: list[RunningApp]
    truncated: Annotated[bool, doc("There are more than are followed.")]


class Launched(Data, frozen=True):
    """How an application was started."""

    by: Annotated[
        Literal["dbus", "gio", "gtk-launch", "xdg-open"],
        doc("Who started it: the session bus, or which program."),
    ]


class AskedToClose(Data, frozen=True, omit_defaults=False):
    """What became of a request to close."""

    windows: Annotated[int, doc("Windows that were asked to close; 0: its process was asked to end.")]


@command(SESSION, "session-list-apps", returns=RunningApps)
class SessionListApps(Arguments, frozen=True):
    """Tell the applications that run in the session."""


@command(SESSION, "session-focus-app", returns=Data)
class SessionFocusApp(Arguments, frozen=True):
    """Bring an application's window to the front, and give it the keyboard."""

    app_id: AppId
    pid: Pid = UNSET


@command(SESSION, "session-close-app", returns=AskedToClose)
class SessionCloseApp(Arguments, frozen=True):
    """Ask an application to close all of its windows, as the user's click would; it may ask the user back, and stay."""

    app_id: AppId
    pid: Pid = UNSET


@command(SESSION, "session-launch", returns=Launched)
class SessionLaunch(Arguments, frozen=True):
    """Start an installed application, or open URIs with the user's choice for them, through the desktop's launcher."""

    app_id: Annotated[
        Annotated[Line, Meta(min_length=1)] | UnsetType,
        doc(
            "The desktop file's id, as `org.gnome.TextEditor`; what the user chose for the URIs where not given."
        ),
    ] = UNSET
    uris: Annotated[
        list[Uri],
        Meta(max_length=MAX_URIS),
        doc("What it is to open; exactly one where `app-id` is not given."),
    ] = []
