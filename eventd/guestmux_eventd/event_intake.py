"""Takes what agents emit into the log, by the same rules whichever way it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.event_reader import EventReader, check_event
from guestmux_eventd.json_size import rough_size
from guestmux_eventd.privacy import Cut, Privacy
from guestmux_eventd.refusal import (
    DENIED,
    INVALID_ARGUMENT,
    LIMIT_EXCEEDED,
    NOT_REGISTERED,
    TOO_LARGE,
    Refusal,
)
from guestmux_protocol.events import CLAIMED
from guestmux_protocol.json_text import JsonError, decode, encode
from guestmux_transport.errors import InvalidValue
from guestmux_transport.values import Variant, to_json

MAX_EVENT_BYTES = 64 * 1024
"""One event's data as JSON: an event is a notice, content is fetched by a command."""

NOT_AN_EVENT = 0
"""What stands for the number of an event that the site's privacy rules drop; numbers begin with 1."""


class EventIntake:
    """The checks on events of agents.

    Args:
        log: where they go.
        rate: events a second that one bus client may emit, for the text of the refusal.
        privacy: what of them does not leave the guest.
    """

    def __init__(self, log: EventLog, rate: float, privacy: Privacy | None = None) -> None:
        self._log = log
        self._rate = rate
        self._privacy = privacy or Privacy()

    def emit(self, agents: Sequence[Agent], untrusted_name: str, untrusted_data: dict[str, Variant]) -> int:
        """Take an event in.

        Args:
            agents: those of the bus client that it is from.
            untrusted_name: the event.
            untrusted_data: its data.

        Returns:
            its number, or NOT_AN_EVENT.

        Raises:
            Refusal: nobody declared it, it does not fit, or there were too many.
        """
        return self.take(self._emitter(agents, untrusted_name), untrusted_name, untrusted_data)

    def take(self, agent: Agent, untrusted_name: str, untrusted_data: dict[str, Variant]) -> int:
        """Take an event in that an agent has declared, and may emit now; as `emit`."""
        try:
            data: dict[str, Any] = to_json(untrusted_data)
            _check_size(rough_size(data))
            check_event(agent.events[untrusted_name], data)
            return self._append(agent, untrusted_name, data)
        except (InvalidValue, JsonError) as error:
            raise Refusal(INVALID_ARGUMENT, str(error)) from error

    def emit_text(self, agent: Agent, untrusted_name: str, untrusted_text: bytes) -> int:
        """Take an event in whose data is JSON text; the log's readers are not woken.

        Raises:
            Refusal: as for `emit`.
        """
        self._emitter((agent,), untrusted_name)
        _check_size(len(untrusted_text))
        reader = agent.readers.get(untrusted_name)
        if reader is None:
            reader = agent.readers[untrusted_name] = EventReader(agent.events[untrusted_name])
        members = reader.members(untrusted_text)
        if cut := self._privacy.of(untrusted_name, agent.session):
            return self._append_rest(agent, untrusted_name, members, cut)
        head = agent.whence_text
        return self._log.append_text(untrusted_name, head + b", " + members if members else head)

    def told(self) -> None:
        """Wake the log's readers."""
        self._log.wake()

    def _append(self, agent: Agent, name: str, data: dict[str, Any]) -> int:
        whole = {**agent.whence, **data}
        cut = self._privacy.of(name, agent.session)
        left = cut.apply(whole) if cut else whole
        return NOT_AN_EVENT if left is None else self._log.append(name, left, CLAIMED)

    def _append_rest(self, agent: Agent, name: str, members: bytes, cut: Cut) -> int:
        if cut.drop:
            return NOT_AN_EVENT
        left = cut.apply({"source": CLAIMED, **agent.whence, **decode(b"{%b}" % members)})
        return self._log.append_text(name, encode(left)[1:-1])

    def admit(self, agents: Sequence[Agent]) -> None:
        """Let a bus client say one thing. Raises Refusal: it has no agent, or says too much."""
        if not agents:
            raise Refusal(NOT_REGISTERED, "register first: the caller has no agent")
        if not agents[0].bucket.take():
            raise Refusal(LIMIT_EXCEEDED, f"more than {self._rate:.0f} events a second; slow down")

    def _emitter(self, agents: Sequence[Agent], untrusted_name: str) -> Agent:
        self.admit(agents)
        for agent in agents:
            if untrusted_name in agent.events:
                return agent
        raise Refusal(DENIED, f"event '{untrusted_name[:128]}' was not declared at registration")


def _check_size(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise Refusal(TOO_LARGE, f"an event of some {size} bytes; at most {MAX_EVENT_BYTES} are allowed")
