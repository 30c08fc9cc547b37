"""The stock session agent's commands that keep a session from going idle."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

INHIBIT: dict[str, Command] = {}
"""These commands, by name."""

MAX_REASON = 256
"""Characters: desktops show it in a line."""

MAX_SECONDS = 86_400.0
"""Seconds that one call holds: a day. Who needs more renews, and so shows that he is still there."""

DEFAULT_SECONDS = 3600.0
"""Seconds where none are given: a screen that never locks again because a host forgot about it helps nobody."""

Reason: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=MAX_REASON), doc("Why; desktops show it to the user.")
]
By: TypeAlias = Annotated[
    list[str],
    doc(
        "Who has been asked and agreed: `gnome-session`, `screensaver`, `logind`, `x11`; see docs/desktop.md."
    ),
]


class Inhibited(Data, frozen=True, kw_only=True, omit_defaults=False):
    """What keeps the session from going idle now."""

    id: int
    by: By


class Inhibitor(Data, frozen=True, kw_only=True, omit_defaults=False):
    """Something that keeps the session from going idle."""

    id: int
    reason: str
    by: By
    seconds: Annotated[float | UnsetType, doc("Seconds that are left; missing where a stream holds it.")] = (
        UNSET
    )


@command(INHIBIT, "session-inhibit-idle", returns=Inhibited)
class SessionInhibitIdle(Arguments, frozen=True):
    """Keep the session from going idle, and so from locking, blanking or suspending by itself.

    It lasts until session-uninhibit-idle, until the seconds have passed, or until the agent ends.
    """

    reason: Reason
    seconds: Annotated[
        float, Meta(gt=0, le=MAX_SECONDS), doc("Seconds that it lasts; they begin anew with each renewal.")
    ] = DEFAULT_SECONDS
    id: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType, doc("Renew this one, which keeps its reason, instead.")
    ] = UNSET


@command(INHIBIT, "session-uninhibit-idle", returns=Data)
class SessionUninhibitIdle(Arguments, frozen=True):
    """End what session-inhibit-idle began."""

    id: int


@command(INHIBIT, "session-list-inhibitors", returns=list[Inhibitor])
class SessionListInhibitors(Arguments, frozen=True):
    """Tell what hosts keep the session from going idle by. Other programs' doing is not among it."""


@command(INHIBIT, "session-hold-idle", returns=Inhibited, stream=True)
class SessionHoldIdle(Arguments, frozen=True):
    """Keep the session from going idle for as long as the stream is open: a host that is lost lets go at once.

    Nothing is sent in it; the host ends it.
    """

    reason: Reason
