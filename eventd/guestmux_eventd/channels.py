"""Gives agents their channels: a socket each, over which they are called from then on."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from guestmux_eventd.agent_channel import AgentChannel
from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.background import Background
from guestmux_eventd.event_intake import NOT_AN_EVENT, EventIntake
from guestmux_eventd.partial_frames import BoundedMultiplexer, PartialFrames
from guestmux_eventd.presence import Presence
from guestmux_eventd.refusal import (
    ALREADY_REGISTERED,
    INVALID_ARGUMENT,
    LIMIT_EXCEEDED,
    NOT_REGISTERED,
    UNSUPPORTED,
    Refusal,
)
from guestmux_protocol.mux import DEFAULT_MUX_LIMITS, Event, Multiplexer
from guestmux_protocol.mux.limits import VERSION
from guestmux_transport.bus_exports import IncomingCall, Results
from guestmux_transport.deadlines import Deadlines
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import READ_BYTES
from guestmux_transport.pipe_errors import OpenError
from guestmux_transport.values import Variant

LIMITS: Final = DEFAULT_MUX_LIMITS

FIRST_WORD: Final = 30.0
"""Seconds that an agent has to speak first: it asked for the channel, but the machine may be busy."""

LAST_WORD: Final = 1.0
"""Seconds after an agent closed its channel in which the bus may say why: it takes its leave, or its process ended. It
says so within milliseconds, but that comes another way than the channel's end, and so maybe later."""

OVERFLOW_UID: Final = 65534
"""How the kernel shows a uid that a sandbox's user namespace does not have, eventd's own unit among them
(PrivateUsers=): there the pid decides alone, and the bus and the kernel agree on that."""

_CREDENTIALS: Final = struct.Struct("3i")

logger = logging.getLogger(__name__)


class Channels:
    """The channels of all agents on one bus connection.

    Args:
        agents: the registered agents.
        intake: takes their events.
        ready: called when an agent spoke on its channel.
        lost: called when a channel ended, and the agent with it.
    """

    def __init__(
        self,
        agents: AgentTable,
        intake: EventIntake,
        ready: Callable[[Agent], None],
        lost: Callable[[Agent], None],
    ) -> None:
        self._agents = agents
        self._intake = intake
        self._ready = ready
        self._lost = lost
        self._background = Background()
        self._unserved: set[socket.socket] = set()
        self._partial = PartialFrames()
        self._deadlines = Deadlines()

    async def run(self) -> None:
        """Serve the channels, until cancelled."""
        await self._background.run()

    def close(self) -> None:
        """End what was given to agents and is not served, when nobody serves any more."""
        while self._unserved:
            self._unserved.pop().close()

    def acquire(self, call: IncomingCall) -> Results:
        """Make a channel, and give the agent its end.

        Raises:
            Refusal: the caller has no agent there, it has a channel already, or wants another version.
        """
        path, untrusted_options = call.body
        _check_options(untrusted_options)
        agent = self._agents.get(call.sender, path)
        if agent is None:
            raise Refusal(NOT_REGISTERED, f"no agent of the caller is registered at {path}")
        if agent.presence.acquired:
            raise Refusal(
                ALREADY_REGISTERED, f"agent '{agent.name}' has a channel; unregister to be rid of it"
            )
        ours, theirs = _socket_pair()
        call.reply_fds.append(theirs.detach())
        agent.presence.acquired = True
        agent.presence.hang_up = partial(ours.shutdown, socket.SHUT_RDWR)
        self._unserved.add(ours)
        self._background.start(partial(self._serve, agent, ours))
        limits = {"version": Variant("u", VERSION), "max-frame": Variant("u", LIMITS.max_frame)}
        return 0, {**limits, "window": Variant("u", LIMITS.window)}

    async def _serve(self, agent: Agent, sock: socket.socket) -> None:
        self._unserved.discard(sock)
        sender, path, presence = agent.sender, agent.path, agent.presence
        try:
            reason = await self._converse(agent, sock)
        finally:
            presence.channel = presence.hang_up = None
        if not reason and self._now(sender, path, presence):
            await _last_word(presence)
        if now := self._now(sender, path, presence):
            if reason:
                logger.warning("the channel of agent '%s' was closed: %s", now.name, reason)
            self._lost(now)

    async def _converse(self, agent: Agent, sock: socket.socket) -> str:
        """Serve one channel to its end; gives why that was eventd's doing."""
        with sock:
            untrusted_first, reason = await _first_word(agent, sock)
            if not untrusted_first:
                return reason
            fd = sock.detach()
        presence = agent.presence
        name = f"channel of {agent.name}"
        try:
            pipe = owned_pipe(name, fd, early=untrusted_first)
        except OpenError as error:
            return str(error)
        find = partial(self._now, agent.sender, agent.path, presence)
        channel = AgentChannel(
            pipe,
            agent.name,
            lambda: self._greeted(channel, find()),
            lambda events, mux: self._take_events(events, mux, find()),
            BoundedMultiplexer(LIMITS, self._partial, agent.identity.uid),
            self._deadlines,
        )
        presence.hang_up = channel.close
        return await channel.run()

    def _now(self, sender: str, path: str, presence: Presence) -> Agent | None:
        agent = self._agents.get(sender, path)
        return agent if agent and agent.presence is presence else None

    def _greeted(self, channel: AgentChannel, agent: Agent | None) -> None:
        if agent is not None:
            agent.presence.channel = channel
            self._ready(agent)

    def _take_events(self, events: list[Event], mux: Multiplexer, agent: Agent | None) -> None:
        """Take events in, and answer: those that got numbers together, all others each by itself."""
        if agent is None:
            return
        emit, taken, last = self._intake.emit_text, 0, 0
        for event in events:
            try:
                number, refused = emit(agent, event.name, event.data), None
            except Refusal as refusal:
                number, refused = NOT_AN_EVENT, refusal
            if number:
                taken, last = event.seq, number
                continue
            if taken:
                mux.ack(taken, last)
                taken = 0
            if refused:
                mux.nak(event.seq, refused.error, refused.desc)
            else:
                mux.ack(event.seq, NOT_AN_EVENT)
        if taken:
            mux.ack(taken, last)
        self._intake.told()


async def _last_word(presence: Presence) -> None:
    """Wait whether the agent is leaving altogether."""
    left = anyio.Event()
    presence.ended, presence.hang_up = True, left.set
    with anyio.move_on_after(LAST_WORD):
        await left.wait()
    presence.hang_up = None


def _check_options(untrusted_options: dict[str, Variant]) -> None:
    if unknown := untrusted_options.keys() - {"version"}:
        raise Refusal(INVALID_ARGUMENT, f"unknown option '{min(unknown)[:64]}'")
    version = untrusted_options.get("version", Variant("u", VERSION))
    if version.signature not in ("u", "i", "t", "x"):
        raise Refusal(INVALID_ARGUMENT, "option 'version' must be a number")
    if version.value != VERSION:
        raise Refusal(UNSUPPORTED, f"version {VERSION} of channels is all that there is")


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise Refusal(LIMIT_EXCEEDED, f"no channel can be made: {error.strerror}") from error
    ours.setblocking(False)
    theirs.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


async def _first_word(agent: Agent, sock: socket.socket) -> tuple[bytes, str]:
    """The first bytes of a channel, where they come in time and from the agent; else b"" and why not."""
    with anyio.move_on_after(FIRST_WORD):
        while True:
            await anyio.wait_readable(sock)
            try:
                data, ancillary, _flags, _address = sock.recvmsg(
                    READ_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                continue
            except OSError as error:
                return b"", str(error.strerror)
            return _checked(agent, data, ancillary)
    return b"", f"it said nothing within {FIRST_WORD:g} s"


def _checked(agent: Agent, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> tuple[bytes, str]:
    """The kernel says who wrote: a descriptor may be passed on, but not to speak in the agent's name first."""
    if not data:
        return b"", ""
    uids = (agent.identity.uid, OVERFLOW_UID)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _gid = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])
            if pid == agent.identity.pid and uid in uids:
                return data, ""
            return b"", f"process {pid} of uid {uid} spoke on it"
    return b"", "the kernel does not say who spoke on it"
