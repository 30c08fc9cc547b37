"""What a host connection needs of eventd's events, without the rest of eventd."""

from __future__ import annotations

from collections.abc import Callable

from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_history import EventHistory
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.journal.journal import Journal
from guestmux_eventd.sent_record import SentRecord
from guestmux_eventd.stream_state import StreamState


class Feeds:
    """A log, a history over it, and feeds from them."""

    def __init__(
        self,
        log: EventLog,
        hosts: Hosts | None = None,
        *,
        agents: AgentTable | None = None,
        journal: Journal | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.hosts = hosts or Hosts()
        self.gate = FreezeGate()
        self.history = EventHistory(log, journal)
        self.gate.watch(self.history.follow_freeze)
        self.gate.before_freezing(self.history.pause)
        self.state = StreamState(self.history, agents or AgentTable(), self.gate)
        self.sent = SentRecord(log)
        self._clock = {} if now is None else {"now": now}

    def __call__(self, port: str = "", dialect: str = "") -> EventFeed:
        receiver = self.sent.to(port, dialect)
        return EventFeed(self.history, self.state, self.hosts, receiver=receiver, **self._clock)
