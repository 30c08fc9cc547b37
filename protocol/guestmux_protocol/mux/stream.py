"""One stream as one end of the connection sees it: its life as a table, its credit, and what it has to send."""

from __future__ import annotations

from enum import Enum
from typing import Final

from guestmux_protocol.mux.stream_queue import StreamQueue


class StreamState(Enum):
    """Where a stream stands, by what was sent and received so far."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and these are looked up for each frame

    ASKED = "opened, not answered"
    CANCELLED = "opened, cancelled by us, not answered"
    OPEN = "open both ways"
    WE_CLOSED = "we send nothing more"
    THEY_CLOSED = "the peer sends nothing more"
    ABORTED = "we broke it; the peer's CLOSE is on its way"
    GONE = "over"


class Step(Enum):
    """What moves a stream on."""

    __hash__ = object.__hash__

    ACCEPT = "REPLY"
    REFUSE = "ERROR"
    CANCEL = "our CANCEL"
    CLOSE = "our CLOSE"
    FAIL = "our CLOSE with an error"
    PEER_CLOSE = "the peer's CLOSE"
    PEER_FAIL = "the peer's CLOSE with an error"


STREAM_LIFE: Final[dict[StreamState, dict[Step, StreamState]]] = {
    StreamState.ASKED: {
        Step.ACCEPT: StreamState.OPEN,
        Step.REFUSE: StreamState.GONE,
        Step.CANCEL: StreamState.CANCELLED,
    },
    StreamState.CANCELLED: {
        Step.ACCEPT: StreamState.ABORTED,
        Step.REFUSE: StreamState.GONE,
    },
    StreamState.OPEN: {
        Step.CLOSE: StreamState.WE_CLOSED,
        Step.FAIL: StreamState.ABORTED,
        Step.PEER_CLOSE: StreamState.THEY_CLOSED,
        Step.PEER_FAIL: StreamState.GONE,
    },
    StreamState.WE_CLOSED: {
        Step.FAIL: StreamState.ABORTED,
        Step.PEER_CLOSE: StreamState.GONE,
        Step.PEER_FAIL: StreamState.GONE,
    },
    StreamState.THEY_CLOSED: {
        Step.CLOSE: StreamState.GONE,
        Step.FAIL: StreamState.GONE,
        Step.PEER_FAIL: StreamState.GONE,
    },
    StreamState.ABORTED: {
        Step.PEER_CLOSE: StreamState.GONE,
        Step.PEER_FAIL: StreamState.GONE,
    },
    StreamState.GONE: {},
}
"""For each state what may happen, and what it leads to. What is not here and comes from the peer is a violation."""

UNANSWERED: Final = frozenset({StreamState.ASKED, StreamState.CANCELLED})
SENDING: Final = frozenset({StreamState.OPEN, StreamState.THEY_CLOSED})
"""Where we may send: our CLOSE is not out."""
SENT_ALL: Final = frozenset({StreamState.WE_CLOSED, StreamState.ABORTED})
"""Where the peer's credit is of no use: our CLOSE is out, and the peer had not seen it."""
RECEIVING: Final = frozenset({StreamState.OPEN, StreamState.WE_CLOSED})
"""Where the peer may send, and takes our credit."""


class Stream:
    """The state of one stream; plain data that Streams and FairWriter change.

    Args:
        number: its id on the connection.
        group: what shares a turn with others of the same group.

    Attributes:
        credit: bytes that may still be queued for the peer.
        granted: bytes that the peer may still send.
        due: bytes to be granted as soon as the window has room and the writer gets to it.
        queue: bytes to be sent, all of them within the peer's credit.
        ending: our clean CLOSE, encoded, which goes out behind the queue.
        sends: whether our CLOSE is not out, so that we may send.
        receives: whether the peer may send, and takes our credit.
        in_turn: whether the writer has it in its round.
        credit_queued: whether the writer is going to send a CREDIT.
    """

    __slots__ = (
        "credit",
        "credit_queued",
        "due",
        "ending",
        "granted",
        "group",
        "in_turn",
        "number",
        "queue",
        "receives",
        "sends",
        "state",
    )

    def __init__(self, number: int, group: str = "") -> None:
        self.number = number
        self.group = group
        self.state = StreamState.ASKED
        self.credit = 0
        self.granted = 0
        self.due = 0
        self.queue = StreamQueue()
        self.ending = b""
        self.sends = self.receives = False
        self.in_turn = False
        self.credit_queued = False

    def __repr__(self) -> str:
        queued = self.queue.size
        return (
            f"<Stream {self.number} {self.state.name} {queued=} credit={self.credit} granted={self.granted}>"
        )

    @property
    def sendable(self) -> int:
        """Bytes that may be queued now."""
        return self.credit if self.sends and not self.ending else 0

    def step(self, step: Step) -> None:
        """Move on; KeyError where the table has nothing, which callers exclude."""
        self.state = STREAM_LIFE[self.state][step]
        self.sends, self.receives = self.state in SENDING, self.state in RECEIVING

    def drop(self) -> None:
        """Forget what was to be sent."""
        self.queue.clear()
        self.ending = b""
        self.due = 0
