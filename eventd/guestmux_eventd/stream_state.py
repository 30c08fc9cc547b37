"""How the stream of events stands: what beacons and guest-info tell."""

from __future__ import annotations

from typing import Any

import msgspec

from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.event_history import EventHistory
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_protocol.commands import EventsInfo
from guestmux_protocol.events import VERIFIED, Beacon


class StreamState:
    """The state of the journal, the freeze and the agents.

    Args:
        history: the events.
        agents: the registered agents.
        gate: shut while file systems are frozen.

    Attributes:
        version: another one when the journal or the freeze has changed.
    """

    def __init__(self, history: EventHistory, agents: AgentTable, gate: FreezeGate) -> None:
        self.version = 0
        self._history = history
        self._agents = agents
        self._gate = gate
        history.watch(self._changed)
        gate.watch(lambda _frozen: self._changed())

    def __repr__(self) -> str:
        return f"<StreamState {self._history.state} {self._gate!r}>"

    def beacon(self, dropped: int) -> dict[str, Any]:
        """The data of a BEACON.

        Args:
            dropped: numbers that the subscription lost.
        """
        told = Beacon(
            agents=len(list(self._agents)),
            dropped=dropped,
            journal=self._history.state,
            frozen=self._gate.frozen,
        )
        return {"source": VERIFIED, **msgspec.to_builtins(told)}

    def info(self) -> EventsInfo:
        """What guest-info has of it."""
        log = self._history.log
        return EventsInfo(
            epoch=log.epoch, seq=log.last, journal=self._history.state, frozen=self._gate.frozen
        )

    def _changed(self) -> None:
        self.version += 1
        self._history.log.wake()
