"""The commands that eventd serves itself; qemu-ga's are in qga/qapi-schema.json, QMP's in qapi/control.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from guestmux_protocol.patterns import MAX_PATTERNS
from guestmux_protocol.registry import Arguments, Command, Data, command, doc
from guestmux_protocol.sessions import Session

NATIVE: dict[str, Command] = {}
"""Every command of eventd, on any port."""

QMP_ONLY = frozenset({"qmp_capabilities", "guest-mux-upgrade", "query-version", "query-commands"})
"""Commands that a `qga` port does not have, as qemu-ga has not."""

MUX_VERSION = 1
"""The version of mux that guest-mux-upgrade leads to."""


MAX_SUBSCRIPTION_NAME = 64
"""Characters of a subscription's name: it is in each of its events."""

MAX_FILTERED = 256
"""Sessions or users that one subscription names: many more than a guest has at a time."""

MIN_BEACON, MAX_BEACON = 0.1, 86400.0
"""Seconds between beacons."""

MAX_WINDOW = 65_536
"""Events that may be unacknowledged: as many as memory keeps."""

JOURNAL_STATE = (
    "`ok`: events that are kept every one are stored on disk. `off`: they are in memory only, as configured."
    " Else why they are not stored now: absent, owner, read-only, locked, corrupt, full, io or numbers."
)

FROZEN = "File systems are frozen; what happens is kept in memory until the thaw."


class VersionTriple(Data, frozen=True, kw_only=True):
    """A version in three numbers."""

    major: int
    minor: int
    micro: int


class VersionInfo(Data, frozen=True, kw_only=True):
    """QMP's VersionInfo. `qemu` is QMP's name for the server's version; `package` says that the server is guestmux."""

    qemu: VersionTriple
    package: str


class CommandInfo(Data, frozen=True, kw_only=True):
    """A command's name, as query-commands lists it."""

    name: str


class SupportedCommand(Data, frozen=True, kw_only=True, omit_defaults=False):
    """A command as guest-info lists it."""

    name: str
    enabled: bool = True
    success_response: bool = True


class EventsInfo(Data, frozen=True, kw_only=True):
    """How the stream of events stands."""

    epoch: Annotated[str, doc("The run of eventd that numbers are given out in.")]
    seq: Annotated[int, doc("The latest event's number.")]
    journal: Annotated[str, doc(JOURNAL_STATE)]
    frozen: Annotated[bool, doc(FROZEN)]


class GuestAgentInfo(Data, frozen=True, kw_only=True, rename=None, omit_defaults=False):
    """qemu-ga's GuestAgentInfo; its member names have underscores."""

    version: str
    supported_commands: list[SupportedCommand]
    events: Annotated[EventsInfo | UnsetType, doc("Not on `qga` ports.")] = UNSET


class GuestUser(Data, frozen=True, kw_only=True):
    """A logged-in user, with the earliest of his logins."""

    user: str
    login_time: Annotated[float, doc("Seconds since the epoch.")]


class Position(Arguments, frozen=True, kw_only=True):
    """A place in the stream of events."""

    epoch: Annotated[str, doc("The run of eventd that the event was told in.")]
    seq: Annotated[Annotated[int, Meta(ge=0)], doc("The last event seen.")]


class Snapshot(Data, frozen=True, kw_only=True):
    """The state that the events after `seq` are changes to."""

    sessions: list[Session]


class Subscription(Data, frozen=True, kw_only=True):
    """What guest-event-subscribe answers."""

    epoch: str
    seq: int
    snapshot: Snapshot


class MuxAgreed(Data, frozen=True, kw_only=True):
    """What guest-mux-upgrade answers."""

    version: Annotated[int, doc("The version that is spoken from here on.")]


class SchemaInfo(Data, frozen=True, kw_only=True):
    """One entity of QAPI's introspection (qapi/introspect.json); its other members depend on `meta-type`."""

    name: str
    meta_type: str


@command(NATIVE, "guest-sync", returns=int)
class GuestSync(Arguments, frozen=True, kw_only=True):
    """Echo `id`, so that a host that lost count of the replies finds its place again.

    On a `qga` port it also ends the host's event subscriptions.
    """

    id: Annotated[int, doc("Returned as it is.")]


@command(NATIVE, "guest-sync-delimited", returns=int)
class GuestSyncDelimited(Arguments, frozen=True, kw_only=True):
    """Echo `id` behind a byte 0xFF, which stands nowhere else in the stream: what came before it is stale."""

    id: Annotated[int, doc("Returned as it is.")]


@command(NATIVE, "guest-ping", returns=Data)
class GuestPing(Arguments, frozen=True, kw_only=True):
    """Answer with an empty object: the agent lives."""


@command(NATIVE, "guest-info", returns=GuestAgentInfo)
class GuestInfo(Arguments, frozen=True, kw_only=True):
    """Tell the agent's version and every command that it would take now, those of session agents included."""


@command(NATIVE, "guest-get-users", returns=list[GuestUser])
class GuestGetUsers(Arguments, frozen=True, kw_only=True):
    """List the logged-in users, one entry a user, as qemu-ga does; from logind instead of utmp."""


@command(NATIVE, "guest-get-sessions", returns=list[Session])
class GuestGetSessions(Arguments, frozen=True, kw_only=True):
    """List logind's sessions with their state and the agents registered in each."""


@command(NATIVE, "guest-query-schema", returns=list[SchemaInfo])
class GuestQuerySchema(Arguments, frozen=True, kw_only=True):
    """Describe every command and event in QAPI's introspection format, those that agents declared included."""


@command(NATIVE, "guest-event-subscribe", returns=Subscription)
class GuestEventSubscribe(Arguments, frozen=True, kw_only=True):
    """Ask for events. They follow the reply, each a change to the snapshot in it.

    A second call replaces the first; one with another name in `subscription` is a subscription beside it, with a
    position of its own, whose events have that name in their data. Subscriptions end with the connection; on a `qga`
    port also with every sync.
    """

    events: Annotated[list[str], doc("Globs over event names.")] = field(default_factory=lambda: ["*"])
    since: Annotated[
        Position | UnsetType,
        doc("Send what came after this position first. What is gone is named by an EVENTS_LOST event."),
    ] = UNSET
    subscription: Annotated[
        str,
        Meta(max_length=MAX_SUBSCRIPTION_NAME),
        doc("The subscription's name; the unnamed one where not given."),
    ] = ""
    sessions: Annotated[
        Annotated[list[str], Meta(max_length=MAX_FILTERED)] | UnsetType,
        doc("Of the events that are about a session, only those about these; logind's ids."),
    ] = UNSET
    users: Annotated[
        Annotated[list[str], Meta(max_length=MAX_FILTERED)] | UnsetType,
        doc("Of the events that are about a user, only those about these; names."),
    ] = UNSET
    rate: Annotated[
        Annotated[dict[str, float], Meta(max_length=MAX_PATTERNS)] | UnsetType,
        doc(
            "Globs and how many events a second of each name and session that they match. What comes sooner is kept"
            " back, and the last one sent in time, with `late` in its data. Not for events that are kept every one."
        ),
    ] = UNSET
    beacon: Annotated[
        Annotated[float, Meta(ge=MIN_BEACON, le=MAX_BEACON)] | UnsetType,
        doc("Send a BEACON now, each so many seconds, and when what it says of the journal changes."),
    ] = UNSET
    window: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_WINDOW)] | UnsetType,
        doc("Send so many events at most beyond what guest-event-ack (in mux: an ACK frame) acknowledged."),
    ] = UNSET


@command(NATIVE, "guest-event-unsubscribe", returns=Data)
class GuestEventUnsubscribe(Arguments, frozen=True, kw_only=True):
    """Ask for no more events, or for none that these patterns (as they were subscribed) brought."""

    events: Annotated[list[str] | UnsetType, doc("The patterns to take back; all where not given.")] = UNSET
    subscription: Annotated[str, doc("Which; the unnamed one where not given.")] = ""


@command(NATIVE, "guest-event-ack", returns=Data)
class GuestEventAck(Arguments, frozen=True, kw_only=True):
    """Say that everything up to an event is done with: more may follow where the subscription has a `window`."""

    seq: Annotated[int, doc("Its number.")]
    subscription: Annotated[str, doc("Which; the unnamed one where not given.")] = ""


@command(NATIVE, "guest-mux-upgrade", returns=MuxAgreed)
class GuestMuxUpgrade(Arguments, frozen=True, kw_only=True):
    """Go over to mux: binary frames, with streams (docs/mux.md). The reply's newline is the last byte of QMP.

    Subscriptions, files and processes of the connection end; what runs concurrently is cancelled. On `qmp` ports only,
    and not by `exec-oob`. Send nothing more before the reply.
    """

    version: Annotated[int, doc("The version to speak; there is 1.")] = MUX_VERSION


@command(NATIVE, "qmp_capabilities", returns=Data)
class QmpCapabilities(Arguments, frozen=True, kw_only=True):
    """End QMP's capabilities negotiation; the first command on a `qmp` port."""

    enable: Annotated[
        list[Literal["oob"]], doc("`oob`: allow `exec-oob`, which runs a command concurrently.")
    ] = []


@command(NATIVE, "query-version", returns=VersionInfo)
class QueryVersion(Arguments, frozen=True, kw_only=True):
    """Tell the version, as the greeting did."""


@command(NATIVE, "query-commands", returns=list[CommandInfo])
class QueryCommands(Arguments, frozen=True, kw_only=True):
    """List the names of all commands; stock qmp-shell completes from it."""


class Routing(Data, frozen=True, kw_only=True):
    """The arguments that eventd takes out of any command that an agent serves."""

    session: Annotated[str | UnsetType, doc("A logind id (`c2`), `active`, or `user:NAME`.")] = UNSET
    wait: Annotated[float | UnsetType, doc("Seconds to wait for the session's agent to register.")] = UNSET
    timeout: Annotated[float | UnsetType, doc("Seconds until the call is cancelled.")] = UNSET


def take_routing(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split arguments into those for eventd (session, wait, timeout) and those for the agent."""
    routing, own = {}, arguments.copy()
    for name in Routing.__struct_encode_fields__:
        if name in own:
            routing[name] = own.pop(name)
    return routing, own
