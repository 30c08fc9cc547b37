"""org.guestmux.Manager1: where agents register, emit, and learn what the host wants."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from guestmux_eventd.agent_table import EVENTD_ENDED, Agent, AgentTable
from guestmux_eventd.channels import Channels
from guestmux_eventd.claims import Claims
from guestmux_eventd.disclosure import Disclosure
from guestmux_eventd.emit_allowance import EmitAllowance
from guestmux_eventd.event_intake import MAX_EVENT_BYTES, EventIntake
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.identity import BACKEND, Identity, Logins, identify, session_of
from guestmux_eventd.privacy import Privacy
from guestmux_eventd.refusal import (
    DENIED,
    INVALID_ARGUMENT,
    NOT_REGISTERED,
    UNSUPPORTED,
    Refusal,
)
from guestmux_eventd.registration import Declaration, read_declaration
from guestmux_eventd.session_table import Emission
from guestmux_eventd.single_events import SingleEvents
from guestmux_protocol.version import VERSION
from guestmux_transport.bus import Bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.errors import BusError, MethodError
from guestmux_transport.names import (
    AGENT_INTERFACE,
    ERROR_PREFIX,
    MANAGER_INTERFACE,
    MANAGER_NAME,
    MANAGER_PATH,
)
from guestmux_transport.values import Variant

EMIT_RATE = 2000.0
"""Events a second that one agent may emit by default, some ten times what a busy desktop makes."""

Publish = Callable[[list[Emission]], object]

logger = logging.getLogger(__name__)


class Manager:
    """The manager object on one bus connection.

    Args:
        bus: the bus.
        agents: the registered agents.
        log: the events.
        hosts: the connected hosts.
        logins: who is in which session.
        sessions: gives the ids of all sessions.
        publish: takes the events that registrations are.
        emit_rate: events a second that one agent may emit.
        privacy: what of their events does not leave the guest.
        disclosure: shows users what left about them.
        claims: takes what agents say about their sessions.
    """

    def __init__(
        self,
        bus: Bus,
        agents: AgentTable,
        log: EventLog,
        hosts: Hosts,
        logins: Logins,
        sessions: Callable[[], list[str]],
        publish: Publish,
        emit_rate: float = EMIT_RATE,
        privacy: Privacy | None = None,
        disclosure: Disclosure | None = None,
        claims: Claims | None = None,
    ) -> None:
        self._bus = bus
        self._agents = agents
        self._log = log
        self._hosts = hosts
        self._logins = logins
        self._sessions = sessions
        self._publish = publish
        self._allowance = EmitAllowance(emit_rate, time.monotonic)
        self._privacy = privacy or Privacy()
        self._intake = EventIntake(log, emit_rate, self._privacy)
        self._single = SingleEvents(bus, logins, agents, self._intake)
        self._disclosure = disclosure
        self._claims = claims
        self._channels = Channels(agents, self._intake, self._channel_ready, self._channel_lost)
        self._present: set[str] = set()
        self._refused: dict[str, str] = {}
        self._told: dict[str, object] = {}

    def interface(self) -> Interface:
        """The interface, for the bus and for the XML in docs/."""
        return Interface(
            MANAGER_INTERFACE,
            methods={
                "RegisterAgent": ("osa{sv}", "sa{sv}", self._register),
                "UnregisterAgent": ("o", "", self._unregister),
                "Emit": ("sa{sv}", "t", self._emit),
                "Claim": ("sa{sb}", "", self._claim),
                "EmitOnce": ("ssa{sv}a{sv}", "t", self._emit_once),
                "AcquireChannel": ("oa{sv}", "ha{sv}", self._acquire_channel),
                "ListAgents": ("", "a(sss)", self._list_agents),
                "ListSent": ("tu", "aa{sv}a{sv}", self._list_sent),
                "ListCalls": ("", "aa{sv}", self._list_calls),
            },
            properties={
                "Version": Property("s", lambda: VERSION),
                "HostConnected": Property("b", lambda: self._hosts.connected),
                "WantedEvents": Property("as", self._hosts.wanted),
                "Sessions": Property("as", self._sessions),
            },
        )

    async def start(self) -> None:
        """Export the object, then take the name: agents that wait for it find everything there.

        Raises:
            NameTaken: another eventd runs.
        """
        self._bus.export(MANAGER_PATH, self.interface())
        await self._bus.request_name(MANAGER_NAME)

    async def run(self) -> None:
        """Serve the agents' channels, until cancelled."""
        await self._channels.run()

    def tell_changes(self) -> None:
        """Tell agents what hosts want now, and which sessions there are: one that was in none may be in one now."""
        now = {
            "HostConnected": self._hosts.connected,
            "WantedEvents": self._hosts.wanted(),
            "Sessions": self._sessions(),
        }
        changed = [name for name, value in now.items() if self._told.get(name) != value]
        if not changed:
            return
        self._told = now
        try:
            self._bus.properties_changed(MANAGER_PATH, MANAGER_INTERFACE, *changed)
        except BusError as error:
            # Agents that miss it watch too much or too little until the next change; the host must not suffer.
            logger.warning("agents were not told what changed: %s", error)

    def session_ended(self, session: str) -> None:
        """Drop the agents of a session that is over, and tell them: they may outlive it, and get another."""
        for agent in self._agents.of_session(session):
            self._drop(agent, "session-ended")
            try:
                self._bus.tell(agent.sender, agent.path, AGENT_INTERFACE, "Release")
            except BusError as error:
                logger.warning("agent '%s' was not told that its session ended: %s", agent.name, error)

    def close(self) -> None:
        """Drop every agent: the bus is gone, or eventd ends."""
        reason = EVENTD_ENDED if self._bus.lost_reason is None else "bus-lost"
        for agent in self._agents:
            if agent.session != BACKEND:  # that one is reached without the bus
                self._drop(agent, reason)
        self._channels.close()

    async def _register(self, call: IncomingCall) -> Results:
        path, untrusted_name, untrusted_properties = call.body
        self._watch(call.sender)
        try:
            declaration = read_declaration(untrusted_name, untrusted_properties)
            identity = await identify(self._bus, call.sender)
            session = await session_of(identity, declaration.claim, self._logins)
            self._drop_ended(call.sender, path)
            self._add(self._agent(call.sender, path, declaration, session, identity))
        except Refusal as refusal:
            self._log_refusal(call.sender, f"agent '{untrusted_name[:64]}' of {call.sender} refused", refusal)
            raise _answer(refusal) from refusal
        except BusError as error:
            raise _unknown_caller(error) from error
        self._refused.pop(call.sender, None)
        return session, self._granted(declaration, session)

    def _log_refusal(self, sender: str, what: str, refusal: Refusal) -> None:
        """Log it once: an agent whose user is in no session, as with lingering, tries again for ever."""
        text = f"{what}: {refusal.desc}"
        if self._refused.get(sender) == text:
            return
        if sender in self._present:
            self._refused[sender] = text
        extra = {"guestmux_sender": sender, "guestmux_error": refusal.error}
        logger.warning("%s", text, extra=extra)

    def _granted(self, declaration: Declaration, session: str) -> dict[str, Variant]:
        withheld, dropped = self._privacy.told(declaration.events, session)
        return {
            "version": Variant("s", VERSION),
            "epoch": Variant("s", self._log.epoch),
            "max-event": Variant("t", MAX_EVENT_BYTES),
            "withheld": Variant("a{sas}", withheld),
            "dropped": Variant("as", dropped),
        }

    def _agent(
        self, sender: str, path: str, declaration: Declaration, session: str, identity: Identity
    ) -> Agent:
        if sender not in self._present:
            raise Refusal(NOT_REGISTERED, "the caller left the bus")
        others = self._agents.of_sender(sender)
        return Agent(
            sender=sender,
            path=path,
            name=declaration.name,
            version=declaration.version,
            session=session,
            identity=identity,
            bucket=others[0].bucket if others else self._allowance.take(identity.uid),
            commands=declaration.commands,
            events=declaration.events,
            large=declaration.large,
        )

    def _drop_ended(self, sender: str, path: str) -> None:
        before = self._agents.get(sender, path)
        if before is not None and before.presence.ended:
            self._channel_lost(before)

    def _add(self, agent: Agent) -> None:
        before = self._agents.get(agent.sender, agent.path)
        try:
            emissions = self._agents.add(agent)
        except Refusal:
            self._give_bucket_back(agent)
            raise
        if before and self._claims and (before.session, before.name) != (agent.session, agent.name):
            self._claims.agent_gone(before)
        logger.info("agent '%s' registered in session '%s'", agent.name, agent.session, extra=_fields(agent))
        self._publish(emissions)

    def _watch(self, sender: str) -> None:
        """Begin before anything is awaited: who leaves meanwhile must not be registered after."""
        if sender not in self._present:
            self._present.add(sender)
            self._bus.watch_sender(sender, self._sender_gone)

    def _sender_gone(self, sender: str) -> None:
        self._present.discard(sender)
        self._refused.pop(sender, None)
        for agent in self._agents.of_sender(sender):
            self._drop(agent, "disconnected")

    def _drop(self, agent: Agent, reason: str) -> None:
        text = "agent '%s' of session '%s' is gone: %s"
        logger.info(text, agent.name, agent.session, reason, extra=_fields(agent))
        emissions = self._agents.remove(agent, reason)
        if emissions and self._claims:
            self._claims.agent_gone(agent)
        if emissions:
            self._give_bucket_back(agent)
        if emissions and agent.presence.hang_up:
            agent.presence.hang_up()
        self._publish(emissions)

    def _give_bucket_back(self, agent: Agent) -> None:
        """It is its client's as long as that has any agent."""
        if not self._agents.of_sender(agent.sender):
            self._allowance.give_back(agent.identity.uid, agent.bucket)

    def _acquire_channel(self, call: IncomingCall) -> Results:
        try:
            return self._channels.acquire(call)
        except Refusal as refusal:
            raise _answer(refusal) from refusal

    def _channel_ready(self, agent: Agent) -> None:
        self._publish(self._agents.channel_ready(agent))

    def _channel_lost(self, agent: Agent) -> None:
        """It is not told: the end of its socket is what tells it, and it may register anew."""
        self._drop(agent, "channel-lost")

    def _unregister(self, call: IncomingCall) -> Results:
        agent = self._agents.get(call.sender, call.body[0])
        if agent is None:
            raise _answer(Refusal(NOT_REGISTERED, f"no agent of the caller is registered at {call.body[0]}"))
        self._drop(agent, "unregistered")
        return ()

    async def _list_agents(self, call: IncomingCall) -> Results:
        """Session, name and version of the caller's own agents; to root those of all."""
        uid = await self._uid_of(call.sender)
        shown = [agent for agent in self._agents if uid in (0, agent.identity.uid)]
        return ([[agent.session, agent.name, agent.version] for agent in shown],)

    async def _list_sent(self, call: IncomingCall) -> Results:
        """The events about the caller that were sent to hosts; to root those about anybody and nobody."""
        after, limit = call.body
        uid = await self._uid_of(call.sender)
        try:
            return self._shown().events(uid, after, limit)
        except Refusal as refusal:
            raise _answer(refusal) from refusal

    async def _list_calls(self, call: IncomingCall) -> Results:
        """What hosts called in the caller's sessions; to root in all."""
        uid = await self._uid_of(call.sender)
        try:
            return (self._shown().calls(uid),)
        except Refusal as refusal:
            raise _answer(refusal) from refusal

    def _shown(self) -> Disclosure:
        if self._disclosure is None:
            raise Refusal(UNSUPPORTED, "no record is kept here")
        return self._disclosure

    async def _uid_of(self, sender: str) -> int:
        try:
            return (await identify(self._bus, sender)).uid
        except BusError as error:
            raise _unknown_caller(error) from error

    def _emit(self, call: IncomingCall) -> Results:
        untrusted_name, untrusted_data = call.body
        agents = self._agents.of_sender(call.sender)
        try:
            return (self._intake.emit(agents, untrusted_name, untrusted_data),)
        except Refusal as refusal:
            raise _answer(refusal) from refusal

    async def _emit_once(self, call: IncomingCall) -> Results:
        """An event of a client without an agent."""
        try:
            return (await self._single.emit(call.sender, *call.body),)
        except Refusal as refusal:
            raise _answer(refusal) from refusal
        except BusError as error:
            raise _unknown_caller(error) from error

    def _claim(self, call: IncomingCall) -> Results:
        untrusted_what, untrusted_claims = call.body
        agents = self._agents.of_sender(call.sender)
        try:
            self._take_claim(agents, untrusted_what, untrusted_claims)
        except Refusal as refusal:
            raise _answer(refusal) from refusal
        return ()

    def _take_claim(
        self, agents: Sequence[Agent], untrusted_what: str, untrusted_claims: dict[str, bool]
    ) -> None:
        if self._claims is None:
            raise Refusal(UNSUPPORTED, "nobody listens to claims here")
        self._intake.admit(agents)
        if len({agent.session for agent in agents}) > 1:
            text = "agents of several sessions have this connection: claims need one for each session"
            raise Refusal(INVALID_ARGUMENT, text)
        self._claims.claim(agents[0], untrusted_what, untrusted_claims)


def _fields(agent: Agent) -> dict[str, str | int]:
    return {
        "guestmux_agent": agent.name,
        "guestmux_session": agent.session,
        "guestmux_uid": agent.identity.uid,
    }


def _answer(refusal: Refusal) -> MethodError:
    return MethodError(ERROR_PREFIX + refusal.error, refusal.desc)


def _unknown_caller(error: BusError) -> MethodError:
    return MethodError(f"{ERROR_PREFIX}{DENIED}", f"the caller cannot be identified: {error}")
