"""A logind session, as guest-get-sessions and the snapshot of a subscription show it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType, field

from guestmux_protocol.registry import Data, doc


class AgentInfo(Data, frozen=True, kw_only=True):
    """A registered agent."""

    name: str
    version: str
    commands: list[str] = []


class Session(Data, frozen=True, kw_only=True, omit_defaults=False):
    """A session of a user. Text that logind leaves empty is left empty here."""

    session: Annotated[str, doc("logind's id.")]
    user: str
    uid: int
    seat: Annotated[str, doc("Empty for a session without one.")] = ""
    tty: str = ""
    display: Annotated[str, doc("X11 display.")] = ""
    type: Annotated[str, doc("tty, x11, wayland, mir, web or unspecified.")] = "unspecified"
    session_class: Annotated[str, doc("user, greeter, lock-screen, background or manager.")] = field(
        name="class", default="user"
    )
    desktop: str = ""
    service: Annotated[str, doc("The PAM service that opened it.")] = ""
    remote: bool = False
    remote_host: str = ""
    login_time: Annotated[float, doc("Seconds since the epoch.")] = 0.0
    state: Annotated[str, doc("online, active or closing.")] = "online"
    active: Annotated[bool, doc("In the foreground of its seat.")] = False
    locked: Annotated[bool, doc("As logind says.")] = False
    idle: Annotated[bool, doc("As logind says.")] = False
    claimed: Annotated[
        list[Literal["locked", "idle"]] | UnsetType,
        doc("What is so on the word of the session's agents alone, by the events about it."),
    ] = UNSET
    agents: list[AgentInfo] = []


class SessionRef(Data, frozen=True, kw_only=True):
    """The members that every event about a session has."""

    session: Annotated[str, doc("logind's id.")]
    user: str
    uid: int
    seat: str | UnsetType = UNSET
