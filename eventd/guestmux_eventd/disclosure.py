"""What a user is shown of what left the guest about them: events, and commands that hosts called in their sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec

from guestmux_eventd.call_log import CallLog
from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.refusal import LIMIT_EXCEEDED, Refusal
from guestmux_eventd.sent_record import SentRecord
from guestmux_eventd.session_table import SessionTable
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.events import VERIFIED
from guestmux_transport.values import Variant

MAX_ROWS = 500
"""Events in one answer."""

MAX_ROW_BYTES = 256 * 1024
"""Bytes of events in one answer, or little more: a message of the bus is bounded."""

MAX_CALLS = 4096
"""Kinds of calls in one answer, some 200 bytes each; more than one user has."""

MAX_LOOKED_AT = 4096
"""Events looked at for one answer, some milliseconds; hosts wait meanwhile."""

MAX_WORK = 20_000
"""Comparisons of events with subscriptions for one answer, as above."""

RATE, BURST = 10.0, 50.0
"""Answers a second, and at once, that one user gets: to see all of memory takes some twenty."""

MAX_BUCKETS = 256
"""Users whose rate is remembered."""

EVERYBODY = 0
"""The uid that is shown everything: root's."""

Row = dict[str, Variant]


class _About(msgspec.Struct):
    source: Any = None
    session: Any = None
    uid: Any = None


_read_about = msgspec.json.Decoder(_About).decode


class Disclosure:
    """Answers users, by their uid alone.

    Args:
        log: the events in memory.
        sessions: whose sessions they are about.
        sent: who was sent them.
        calls: what was called.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        log: EventLog,
        sessions: SessionTable,
        sent: SentRecord,
        calls: CallLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._sessions = sessions
        self._sent = sent
        self._calls = calls
        self._clock = clock
        self._buckets: dict[int, TokenBucket] = {}

    def __repr__(self) -> str:
        return f"<Disclosure {self._log!r} {self._sent!r}>"

    def events(self, uid: int, after: int, limit: int) -> tuple[list[Row], Row]:
        """The events about a user that were sent to a port, or will be; EVERYBODY's are all.

        Args:
            uid: the user.
            after: the number behind which to begin.
            limit: the most to give; MAX_ROWS at the most.

        Returns:
            the events, and `next`, the number up to which all was looked at, among those that there are.

        Raises:
            Refusal: the user asks too often.
        """
        self._charge(uid)
        rows: list[Row] = []
        limit = min(max(limit, 1), MAX_ROWS)
        seen, size, work = max(after, self._log.first - 1), 0, 0
        for entry in islice(self._log.after(seen), MAX_LOOKED_AT):
            if len(rows) >= limit or size > MAX_ROW_BYTES or work > MAX_WORK:
                break
            seen = entry.seq
            whom = self._whom(entry)
            if uid not in (EVERYBODY, whom):
                continue
            work += len(self._sent)
            if row := self._row(entry, whom):
                rows.append(row)
                size += entry.size
        return rows, self._place(seen)

    def calls(self, uid: int) -> list[Row]:
        """What hosts called in a user's sessions; in EVERYBODY's, in all.

        Raises:
            Refusal: the user asks too often.
        """
        self._charge(uid)
        users: Sequence[int] = self._calls.users() if uid == EVERYBODY else [uid]
        rows = [
            {
                "uid": Variant("u", user),
                "session": Variant("s", session),
                "command": Variant("s", command),
                "outcome": Variant("s", outcome),
                "port": Variant("s", port),
                "count": Variant("t", called.count),
                "first": Variant("d", called.first),
                "last": Variant("d", called.last),
            }
            for user in users
            for (session, command, outcome, port), called in self._calls.of(user)
        ]
        return rows[-MAX_CALLS:]

    def _place(self, seen: int) -> Row:
        return {
            "next": Variant("t", seen),
            "first": Variant("t", self._log.first),
            "last": Variant("t", self._log.last),
            "unknown": Variant("t", self._sent.unknown),
            "epoch": Variant("s", self._log.epoch),
        }

    def _row(self, entry: Entry, whom: int | None) -> Row | None:
        sent, waiting = self._sent.receivers(entry)
        if not sent and not waiting:
            return None
        row = {
            "seq": Variant("t", entry.seq),
            "time": Variant("t", entry.time),
            "event": Variant("s", entry.name),
            "data": Variant("s", entry.data.decode("ascii")),
            "sent": Variant("a(ss)", [list(each) for each in sent]),
            "waiting": Variant("a(ss)", [list(each) for each in waiting]),
        }
        return row if whom is None else {**row, "uid": Variant("x", whom)}

    def _whom(self, entry: Entry) -> int | None:
        """Whom an event is about; None: nobody, or somebody who is not known any more."""
        about = _read_about(entry.data)
        if about.source == VERIFIED and type(about.uid) is int:
            return about.uid
        return self._sessions.owner(about.session) if isinstance(about.session, str) else None

    def _charge(self, uid: int) -> None:
        bucket = self._buckets.get(uid)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[uid] = TokenBucket(RATE, BURST, self._clock)
        if not bucket.take():
            raise Refusal(LIMIT_EXCEEDED, f"more than {RATE:.0f} such questions a second; slow down")
