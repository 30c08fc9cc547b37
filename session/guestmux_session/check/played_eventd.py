"""eventd as an agent sees it, played: org.guestmux.Manager1 without hosts behind it."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from guestmux_protocol.mux import DEFAULT_MUX_LIMITS
from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_protocol.version import VERSION
from guestmux_session import errors
from guestmux_session.check.declared import Declared, read_properties
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import BusError, CallError, CallTimeout, InvalidValue, MethodError
from guestmux_transport.names import (
    AGENT_INTERFACE,
    ERROR_PREFIX,
    MANAGER_INTERFACE,
    MANAGER_NAME,
    MANAGER_PATH,
)
from guestmux_transport.values import Variant, to_json

SESSION = "check"
"""The session that the agent is told to be in."""

ANSWER_SECONDS = 5.0
"""An agent that has nothing to do answers within milliseconds."""

MAX_EVENT_BYTES = 64 * 1024
"""As eventd grants it."""


@dataclass(frozen=True)
class Registration:
    """What an agent said when it registered, and where it is."""

    sender: str
    path: str
    name: str
    declared: Declared


@dataclass(frozen=True)
class Answer:
    """How a call ended.

    Attributes:
        value: what the method returned; None where it failed.
        error: the D-Bus error's name; empty where there is none. NO_ANSWER where nothing came.
        text: the error's.
        seconds: how long it took.
    """

    value: Any = None
    error: str = ""
    text: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.error}: {self.text[:200]}" if self.error else "a result"


NO_ANSWER = "no answer"


async def ask_agent(
    bus: Bus,
    agent: Registration,
    member: str,
    signature: str = "",
    body: Sequence[Any] = (),
    fds: Sequence[int] = (),
    seconds: float | None = None,
) -> Answer:
    """Call a method of an agent's object, and tell how that ended within so many seconds (ANSWER_SECONDS)."""
    began = time.monotonic()
    patience = ANSWER_SECONDS if seconds is None else seconds
    try:
        reply = await bus.call(
            agent.sender,
            agent.path,
            AGENT_INTERFACE,
            member,
            signature,
            body,
            timeout=patience,
            fds=fds,
        )
    except CallError as error:
        gone = error.name.endswith((".ServiceUnknown", ".NoReply", ".Disconnected"))
        name, text = (NO_ANSWER, "it left the bus") if gone else (error.name, error.text)
        return Answer(error=name, text=text, seconds=time.monotonic() - began)
    except CallTimeout:
        return Answer(error=NO_ANSWER, text=f"for {patience:g} s", seconds=patience)
    except BusError as error:
        return Answer(error=NO_ANSWER, text=str(error), seconds=time.monotonic() - began)
    close_fds(reply.fds)
    return Answer(list(reply.body), seconds=time.monotonic() - began)


class PlayedEventd:
    """One eventd, that can come and go.

    Args:
        bus: a connection of its own.

    Attributes:
        registrations: all that there were, in order.
        agent: the one that is registered now.
        event_faults: what was wrong with events that were emitted.
        emitted: how many events were taken.
        refusals: how many registrations from now on are refused: there is no session yet.
        attempts: how many registrations there were, refused ones among them.
        channels: eventd's ends of those that were asked for; None: it has none to give.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.registrations: list[Registration] = []
        self.agent: Registration | None = None
        self.event_faults: list[str] = []
        self.emitted = 0
        self.refusals = 0
        self.attempts = 0
        self.channels: list[socket.socket] | None = None
        self._changed = Pulse()

    async def appear(self) -> None:
        """Own the name."""
        self.bus.export(MANAGER_PATH, self._interface())
        await self.bus.request_name(MANAGER_NAME)

    def forget(self) -> None:
        """The registration is over, by eventd's own decision."""
        self.agent = None

    async def vanish(self) -> None:
        """Own it no more; the connection stays, and is a stranger's from now on."""
        self.agent = None
        await self.bus.release_name(MANAGER_NAME)

    async def registration(self, number: int, seconds: float) -> Registration | None:
        """Wait for the registration of that number, from 1; None where it does not come."""
        with anyio.move_on_after(seconds):
            while len(self.registrations) < number:
                await self._changed.wait()
            return self.registrations[number - 1]
        return None

    async def attempt(self, number: int, seconds: float) -> bool:
        """Wait for the attempt of that number to register, from 1; whether it came."""
        with anyio.move_on_after(seconds):
            while self.attempts < number:
                await self._changed.wait()
        return self.attempts >= number

    def take_event(self, agent: Registration, untrusted_name: str, untrusted_data: Any) -> str:
        """Count an event, or note what is wrong with it, which is given back; empty: nothing."""
        event = agent.declared.events.get(untrusted_name)
        try:
            if event is None:
                raise InvalidValue("it was not declared")
            validate(event.data, untrusted_data)
        except (InvalidValue, InvalidParameter) as error:
            self.event_faults.append(f"{untrusted_name[:100]}: {error}")
            return self.event_faults[-1]
        self.emitted += 1
        return ""

    def session_came(self) -> None:
        """Tell agents that sessions are not what they were."""
        self.bus.properties_changed(MANAGER_PATH, MANAGER_INTERFACE, "Sessions")

    async def channel(self, number: int, seconds: float) -> socket.socket | None:
        """Wait for eventd's end of the channel of that number, from 1; None where none is asked for."""
        with anyio.move_on_after(seconds):
            while len(self.channels or ()) < number:
                await self._changed.wait()
        return self.channels[number - 1] if self.channels and len(self.channels) >= number else None

    def close(self) -> None:
        """Close what channels nobody has taken."""
        for channel in self.channels or ():
            channel.close()

    async def farewell(self, seconds: float) -> bool:
        """Wait until no agent is registered; whether that came."""
        with anyio.move_on_after(seconds):
            while self.agent is not None:
                await self._changed.wait()
        return self.agent is None

    def _interface(self) -> Interface:
        return Interface(
            MANAGER_INTERFACE,
            methods={
                "RegisterAgent": ("osa{sv}", "sa{sv}", self._register),
                "UnregisterAgent": ("o", "", self._unregister),
                "Emit": ("sa{sv}", "t", self._emit),
                "AcquireChannel": ("oa{sv}", "ha{sv}", self._acquire_channel),
                "ListAgents": ("", "a(sss)", self._list_agents),
            },
            properties={
                "Version": Property("s", lambda: VERSION),
                "HostConnected": Property("b", lambda: True),
                "WantedEvents": Property("as", lambda: ["*"]),
                "Sessions": Property("as", lambda: [SESSION]),
            },
        )

    def _register(self, call: IncomingCall) -> Results:
        path, name, properties = call.body
        self.attempts += 1
        self._changed.beat()
        if self.refusals:
            self.refusals -= 1
            text = "the process runs in no login session; start the agent from one of the user's own"
            raise MethodError(f"{ERROR_PREFIX}NotInSession", text)
        self.agent = Registration(call.sender, path, name, read_properties(properties))
        self.registrations.append(self.agent)
        self.bus.watch_sender(call.sender, self._gone)
        granted = {
            "version": Variant("s", VERSION),
            "epoch": Variant("s", "check"),
            "max-event": Variant("t", MAX_EVENT_BYTES),
            "withheld": Variant("a{sas}", {}),
            "dropped": Variant("as", []),
        }
        return SESSION, granted

    def _unregister(self, call: IncomingCall) -> Results:
        self._known(call)
        self._gone(call.sender)
        return ()

    def _emit(self, call: IncomingCall) -> Results:
        name, untrusted_data = call.body
        agent = self._known(call)
        try:
            data = to_json(untrusted_data)
        except InvalidValue as error:
            raise MethodError(errors.INVALID_ARGUMENT, str(error)) from error
        if fault := self.take_event(agent, name, data):
            raise MethodError(errors.INVALID_ARGUMENT, fault)
        return (self.emitted,)

    def _acquire_channel(self, call: IncomingCall) -> Results:
        self._known(call)
        if self.channels is None:
            raise MethodError(f"{ERROR_PREFIX}Unsupported", "no channels here, as in an eventd of before")
        ours, theirs = socket.socketpair()
        call.reply_fds.append(theirs.detach())
        self.channels.append(ours)
        self._changed.beat()
        limits = {"max-frame": DEFAULT_MUX_LIMITS.max_frame, "window": DEFAULT_MUX_LIMITS.window}
        return 0, {name: Variant("u", value) for name, value in {"version": 1, **limits}.items()}

    def _list_agents(self, _call: IncomingCall) -> Results:
        agent = self.agent
        return ([[SESSION, agent.name, agent.declared.version]] if agent else [],)

    def _known(self, call: IncomingCall) -> Registration:
        if self.agent is None or self.agent.sender != call.sender:
            raise MethodError(errors.NOT_REGISTERED, "register first: the caller has no agent")
        return self.agent

    def _gone(self, sender: str) -> None:
        if self.agent is not None and self.agent.sender == sender:
            self.agent = None
            self._changed.beat()
