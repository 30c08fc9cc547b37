"""The commands of the stock session agent, served in each user's session by guestmux-session."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

SESSION: dict[str, Command] = {}
"""The stock agent's commands, by name. An agent registers those that its platform can serve."""

MAX_LINE = 1024
"""Characters of a title, a key, a label: no desktop shows more of a line."""

MAX_BODY = 16 * 1024
"""Characters of a notification's text: some screens full, and little enough for any notification server."""

MAX_ACTIONS = 16
"""Buttons of a notification."""

MAX_EXPIRE = 2_000_000.0
"""Seconds until a notification goes away: what the server's 32-bit milliseconds hold."""

Line = Annotated[str, Meta(max_length=MAX_LINE)]


class NotifyAction(Arguments, frozen=True):
    """A button on a notification."""

    key: Annotated[Line, doc("Returned when the user chose it.")]
    label: Annotated[Line, doc("What the button says.")]


class NotifyResult(Data, frozen=True):
    """What became of a notification."""

    id: Annotated[int, doc("The notification server's number.")]
    outcome: Annotated[
        Literal["shown", "action", "dismissed", "expired", "closed"],
        doc("`shown` where the call did not wait."),
    ]
    action: Annotated[str | UnsetType, doc("The key of the action that the user chose.")] = UNSET


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
    providers: Annotated[dict[str, str], doc("Each provider: `ok`, or why the platform lacks it.")]


class LockState(Data, frozen=True):
    """Whether the session is locked, as logind's LockedHint says."""

    locked: bool
    confirmed: Annotated[bool, doc("False: no screen locker confirmed it in time.")]


@command(SESSION, "session-lock", returns=LockState)
class SessionLockCommand(Arguments, frozen=True):
    """Lock the session's screen, through logind, and wait until a screen locker says that it is."""


@command(SESSION, "session-unlock", returns=LockState)
class SessionUnlockCommand(Arguments, frozen=True):
    """Unlock the session's screen, through logind."""


@command(SESSION, "session-logout", returns=Data)
class SessionLogoutCommand(Arguments, frozen=True):
    """End the session, through logind. Programs in it get SIGTERM; what is unsaved is lost."""


@command(SESSION, "session-notify", returns=NotifyResult)
class SessionNotify(Arguments, frozen=True):
    """Show a desktop notification, and where asked wait for what the user does with it."""

    summary: Annotated[Line, doc("The title, one line.")]
    body: Annotated[str, Meta(max_length=MAX_BODY), doc("The text; shown as plain text.")] = ""
    icon: Annotated[Line, doc("An icon's name from the icon theme.")] = ""
    urgency: Literal["low", "normal", "critical"] = "normal"
    actions: Annotated[
        list[NotifyAction],
        Meta(max_length=MAX_ACTIONS),
        doc("Buttons. The key `default` stands for a click on the notification itself."),
    ] = []
    expire: Annotated[
        Annotated[float, Meta(ge=0, le=MAX_EXPIRE)] | UnsetType,
        doc("Seconds until it goes away; 0 never; the desktop's own time where not given."),
    ] = UNSET
    wait_for_user: Annotated[bool, doc("Answer only when the user acted, or it expired.")] = False


@command(SESSION, "session-get-info", returns=SessionInfo)
class SessionGetInfo(Arguments, frozen=True):
    """Tell the session's user, desktop, display server and environment."""
