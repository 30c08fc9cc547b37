"""The commands of the stock session agent, served in each user's session by guestmux-session."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

SESSION: dict[str, Command] = {}
"""The stock agent's commands, by name. An agent registers those that its platform can serve."""


class NotifyAction(Arguments):
    """A button on a notification."""

    key: Annotated[str, doc("Returned when the user chose it.")]
    label: Annotated[str, doc("What the button says.")]


class NotifyResult(Data):
    """What became of a notification."""

    id: Annotated[int, doc("The notification server's number.")]
    outcome: Annotated[
        Literal["shown", "action", "dismissed", "expired", "closed"],
        doc("`shown` where the call did not wait."),
    ]
    action: Annotated[str | UnsetType, doc("The key of the action that the user chose.")] = UNSET


class SessionInfo(Data):
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


class LockState(Data):
    """Whether the session is locked, as logind's LockedHint says."""

    locked: bool
    confirmed: Annotated[bool, doc("False: no screen locker confirmed it in time.")]


@command(SESSION, "session-lock", returns=LockState)
class SessionLockCommand(Arguments):
    """Lock the session's screen, through logind, and wait until a screen locker says that it is."""


@command(SESSION, "session-unlock", returns=LockState)
class SessionUnlockCommand(Arguments):
    """Unlock the session's screen, through logind."""


@command(SESSION, "session-logout", returns=Data)
class SessionLogoutCommand(Arguments):
    """End the session, through logind. Programs in it get SIGTERM; what is unsaved is lost."""


@command(SESSION, "session-notify", returns=NotifyResult)
class SessionNotify(Arguments):
    """Show a desktop notification, and where asked wait for what the user does with it."""

    summary: Annotated[str, doc("The title, one line.")]
    body: Annotated[str, doc("The text; shown as plain text.")] = ""
    icon: Annotated[str, doc("An icon's name from the icon theme.")] = ""
    urgency: Literal["low", "normal", "critical"] = "normal"
    actions: Annotated[list[NotifyAction], doc("Buttons.")] = []
    expire: Annotated[float | UnsetType, doc("Seconds until it goes away; 0 never.")] = UNSET
    wait_for_user: Annotated[bool, doc("Answer only when the user acted, or it expired.")] = False


@command(SESSION, "session-get-info", returns=SessionInfo)
class SessionGetInfo(Arguments):
    """Tell the session's user, desktop, display server and environment."""
