"""What a stream of events yields: the events, and what became of the stream itself."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Self

import msgspec
from msgspec import Struct

from guestmux_protocol import messages
from guestmux_protocol.commands import Snapshot
from guestmux_protocol.errors import JsonError
from guestmux_protocol.json_text import decode

SUBSCRIPTION = "subscription"
"""The first member of the data of a named subscription's events: its name."""

_NAMED = b'{"subscription": "'

logger = logging.getLogger(__name__)


class Event:
    """Something that happened in the guest. Not to be changed.

    Args:
        name: as `SESSION_LOGIN`.
        data: its members as they came, `epoch`, `seq` and `source` among them.
        seconds: the guest's wall clock, since the epoch; -1 when its clock failed.
        microseconds: the rest.

    Attributes:
        epoch: the identity of the journal that numbered it; empty where the guest gave none.
        seq: its number in that journal.
    """

    # Some 100,000 come in a second, and wait in queues: this is built in 0.1 us, and decoded by who looks into it.
    __slots__ = ("_data", "_text", "epoch", "microseconds", "name", "seconds", "seq")
    __match_args__ = ("name", "data", "seconds", "microseconds")

    def __init__(self, name: str, data: dict[str, Any], seconds: int = -1, microseconds: int = 0) -> None:
        self.name = name
        self.seconds = seconds
        self.microseconds = microseconds
        self._data: dict[str, Any] | None = data
        self._text = b""
        epoch, seq = data.get("epoch"), data.get("seq")
        self.epoch: str = epoch if type(epoch) is str else ""
        self.seq: int | None = seq if type(seq) is int else None

    @classmethod
    def from_text(cls, name: str, untrusted_text: bytes, seconds: int, microseconds: int) -> Self:
        """An event whose data is JSON text, which is looked into as far as is needed now.

        Raises:
            JsonError: it is no JSON object.
        """
        head = _read_head(untrusted_text)
        if head is None:
            return cls(name, _decode_object(untrusted_text), seconds, microseconds)
        event = cls.__new__(cls)
        event.name = name
        event.seconds = seconds
        event.microseconds = microseconds
        event._data = None  # noqa: SLF001  (its own)
        event._text = untrusted_text  # noqa: SLF001
        event.epoch = head.epoch
        event.seq = head.seq
        return event

    def __repr__(self) -> str:
        members = ("name", "data", "seconds", "microseconds")
        return f"Event({', '.join(f'{member}={getattr(self, member)!r}' for member in members)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        mine, others = (
            (self.name, self.seconds, self.microseconds),
            (other.name, other.seconds, other.microseconds),
        )
        return mine == others and self.data == other.data

    __hash__ = None  # type: ignore[assignment]  # as its data has none

    @property
    def data(self) -> dict[str, Any]:
        """Its members as they came; none where the guest broke a rule of JSON that is checked only here."""
        if self._data is None:
            try:
                self._data = _decode_object(self._text)
            except JsonError as error:
                logger.debug("the data of %.64r: %s", self.name, error.desc)
                self._data = {}
        return self._data

    def take_subscription(self) -> str:
        """Take the subscription's name out of the data; empty for the unnamed one, whose events have none."""
        if self._data is None:
            if not self._text.startswith(_NAMED):
                return ""
            name, _, rest = self._text[len(_NAMED) :].partition(b'"')
            self._text = b"{" + rest.lstrip(b", ")
            return name.decode("ascii")
        # Only the first member is eventd's word.
        if next(iter(self._data), "") != SUBSCRIPTION:
            return ""
        return str(self._data.pop(SUBSCRIPTION))

    @property
    def source(self) -> str:
        """`verified`: eventd saw it itself. `claimed`: an agent says so."""
        return "verified" if self.data.get("source") == "verified" else "claimed"

    @property
    def time(self) -> datetime | None:
        """When it happened by the guest's clock, in UTC; None when that is no date."""
        try:
            return datetime.fromtimestamp(self.seconds, UTC).replace(microsecond=self.microseconds)
        except (OverflowError, OSError, ValueError):
            return None


SizedEvent = tuple[Event, int]
"""An event, and about how many bytes it had on the wire."""


class _Head(Struct):
    """What must be known of every event."""

    epoch: str = ""
    seq: int | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


def _read_head(untrusted_text: bytes) -> _Head | None:
    """The head of a text that looks as eventd writes it. msgspec skips the rest, so its syntax is checked as well."""
    if b"\\" in untrusted_text or not untrusted_text.isascii():
        return None
    try:
        return _decode_head(untrusted_text)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _decode_object(untrusted_text: bytes) -> dict[str, Any]:
    value = decode(untrusted_text)
    if type(value) is not dict:
        raise JsonError("the data of an event must be an object")
    return value


class Gap(Struct, frozen=True):
    """Events that will not come. Ask for the state again if it matters.

    Args:
        first: the first number that is missing; 0 where nobody knows the numbers.
        last: the last number that is missing; 0 likewise.
        reason: the guest's word (docs/events.md), or `slow-consumer`: this stream was not read fast
            enough, and what did not fit its queue was dropped.
        count: how many were dropped here; 0 where the guest knows no number, as its filter hides some.
        names: only events that these patterns of the stream's match are among the missing; any where empty.
    """

    first: int
    last: int
    reason: str
    count: int = 0
    names: tuple[str, ...] = ()


class Beacon(Struct, frozen=True):
    """How the guest's side of the stream stands; for streams with `beacon`.

    Args:
        epoch: the run of eventd.
        seq: its latest event's number; everything that the stream wants of the events before was sent.
        agents: registered agents.
        dropped: how many numbers EVENTS_LOST named to this stream.
        journal: `ok`; `off`, as configured; or why the guest cannot store events now.
        frozen: whether the guest's file systems are frozen, so that nothing is stored until the thaw.
    """

    epoch: str
    seq: int
    agents: int = 0
    dropped: int = 0
    journal: str = "ok"
    frozen: bool = False


class Disconnected(Struct, frozen=True):
    """The connection is gone, or the guest's side restarted; the stream goes on when it is back."""

    reason: str


class Reconnected(Struct, frozen=True):
    """The connection is back.

    Args:
        epoch: the guest's run of eventd; another one than before where that began anew.
        seq: its latest event. Events that follow with a number up to this one were missed meanwhile;
            the snapshot has their effects already.
        snapshot: the sessions as they are now.
        resumed: True: it goes on where it was, and nothing is lost unless a Gap says so. False: the guest refused to,
            so it begins anew behind the Gap that follows.
    """

    epoch: str
    seq: int
    snapshot: Snapshot
    resumed: bool


Item = Event | Gap | Beacon | Disconnected | Reconnected
"""What a stream yields."""


def from_wire(message: messages.Event) -> Event:
    """An event as consumers get it."""
    return Event(message.name, message.data, message.seconds, message.microseconds)
