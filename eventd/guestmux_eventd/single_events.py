"""Events of programs that come and go, such as a script with `busctl`: no object, no registration, one call."""

from __future__ import annotations

import time
from collections.abc import Callable

from guestmux_eventd.agent_table import DOWNSTREAM_PREFIX, Agent, AgentTable
from guestmux_eventd.emit_allowance import EmitAllowance
from guestmux_eventd.event_intake import EventIntake
from guestmux_eventd.identity import Identity, Logins, identify, session_of
from guestmux_eventd.refusal import ALREADY_REGISTERED, INVALID_ARGUMENT, LIMIT_EXCEEDED, Refusal
from guestmux_eventd.registration import MAX_TEXT, read_declaration
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_transport.bus import Bus
from guestmux_transport.values import Variant

SINGLE_RATE = 20.0
"""Events a second of one user's scripts: each costs a question to logind, and has a process of its own behind it."""

_OPTIONS = {"session"}


class SingleEvents:
    """Takes events of clients that have no agent, by the rules for those that have one.

    Args:
        bus: says who the clients are.
        logins: says in which session.
        agents: the registered ones, whose names are theirs alone.
        intake: takes the events.
        rate: events a second that one user may emit so.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        bus: Bus,
        logins: Logins,
        agents: AgentTable,
        intake: EventIntake,
        rate: float = SINGLE_RATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._logins = logins
        self._agents = agents
        self._intake = intake
        self._rate = rate
        self._allowance = EmitAllowance(rate, clock)

    def __repr__(self) -> str:
        return f"<SingleEvents at most {self._rate:.0f}/s a user>"

    async def emit(
        self,
        sender: str,
        untrusted_agent: str,
        untrusted_event: str,
        untrusted_data: dict[str, Variant],
        untrusted_options: dict[str, Variant],
    ) -> int:
        """Take an event in.

        Args:
            sender: the bus client that it is from.
            untrusted_agent: what it calls itself.
            untrusted_event: the event's name, with a downstream prefix.
            untrusted_data: the event's data, of any shape.
            untrusted_options: `session`, a claim as in RegisterAgent.

        Returns:
            its number, or NOT_AN_EVENT.

        Raises:
            Refusal: as for RegisterAgent and Emit.
            BusError: bus or logind do not say who it is.
        """
        _check(untrusted_event, untrusted_options)
        # `events` and `session` are checked as at a registration.
        declared = {"events": Variant("as", [untrusted_event]), **untrusted_options}
        declaration = read_declaration(untrusted_agent, declared)
        identity = await identify(self._bus, sender)
        bucket = self._take_token(identity)
        session = await session_of(identity, declaration.claim, self._logins)
        if any(agent.name == declaration.name for agent in self._agents.of_session(session)):
            desc = f"'{declaration.name}' is an agent's name in session '{session}'; its events are its own"
            raise Refusal(ALREADY_REGISTERED, desc)
        agent = Agent(sender, "/", declaration.name, "", session, identity, bucket, events=declaration.events)
        return self._intake.take(agent, untrusted_event, untrusted_data)

    def _take_token(self, identity: Identity) -> TokenBucket:
        """Before logind is asked: it has other work than a script that loops."""
        bucket = self._allowance.take(identity.uid)
        may = bucket.take()
        self._allowance.give_back(identity.uid, bucket)
        if not may:
            raise Refusal(
                LIMIT_EXCEEDED, f"more than {self._rate:.0f} events a second of a user's scripts; slow down"
            )
        return bucket


def _check(untrusted_event: str, untrusted_options: dict[str, Variant]) -> None:
    if not untrusted_event.startswith(DOWNSTREAM_PREFIX):
        desc = f"event '{untrusted_event[:MAX_TEXT]}' needs a name with a downstream prefix, such as __org.example_DONE"
        raise Refusal(INVALID_ARGUMENT, desc)
    if unknown := untrusted_options.keys() - _OPTIONS:
        raise Refusal(INVALID_ARGUMENT, f"unknown option '{min(unknown)[:MAX_TEXT]}'")
