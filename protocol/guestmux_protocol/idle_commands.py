"""session-get-idle: for how long nobody has used a session."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

IDLE: dict[str, Command] = {}
"""The stock agent's commands about idleness, by name."""


class IdleState(Data, frozen=True, kw_only=True, omit_defaults=False):
    """Whether somebody uses a session."""

    idle: Annotated[
        bool, doc("Nobody has for the agent's `idle-seconds`, or for as long as the desktop takes for idle.")
    ]
    seconds: Annotated[
        float | UnsetType,
        doc("Since the last input. Missing where the session does not tell: on Wayland until it is idle."),
    ] = UNSET
    said_by: Annotated[
        list[str], doc("Who knows it: `logind` by its IdleHint, `mutter`, `x11-sync`, `wayland-ext`…")
    ]


@command(IDLE, "session-get-idle", returns=IdleState)
class SessionGetIdle(Arguments, frozen=True):
    """Tell for how long nobody has used the session's keyboard and pointer."""
