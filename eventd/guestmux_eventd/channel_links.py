"""eventd's way to agents with a channel: calls and streams over it; the others, and in bulk, over the bus."""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import Any

import anyio

from guestmux_eventd.agent_channel import UNSURE, AgentChannel
from guestmux_eventd.agent_links import GiveUp, Links, Outcome, Result, Settle
from guestmux_eventd.agent_table import Agent
from guestmux_eventd.json_size import rough_size
from guestmux_eventd.large_values import keep_text
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.stream_relay import StreamRelay
from guestmux_protocol.json_bounded import decode_bounded
from guestmux_protocol.json_text import JsonError, encode
from guestmux_protocol.messages import GENERIC_ERROR
from guestmux_protocol.mux import Failure
from guestmux_transport.sealed_text import LARGE_BYTES

HOST_LEFT = Failure(GENERIC_ERROR, "the host left, or gave it up", "host")


class ChannelLinks:
    """The way to all agents of the bus, over the best that each has.

    Args:
        bus: the way to those without a channel.
    """

    def __init__(self, bus: Links) -> None:
        self._bus = bus

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """As `Links.call`."""
        if not self.reaches(agent, command, arguments):
            return await self._bus.call(agent, command, arguments, port=port, timeout=timeout)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        settle = partial(_hand_over, answer)
        give_up = self.ask(agent, command, arguments, settle, port=port, timeout=timeout)
        try:
            outcome = await answer
        finally:
            give_up()
        if isinstance(outcome, CommandFailure):
            raise outcome
        keep_text(outcome.value, outcome.text)
        return outcome.value

    def reaches(self, agent: Agent, command: str, arguments: dict[str, Any]) -> bool:
        """As `StreamLinks.reaches`."""
        return agent.presence.channel is not None and not (agent.large and _is_bulk(command, arguments))

    def ask(
        self,
        agent: Agent,
        command: str,
        arguments: dict[str, Any],
        settle: Settle,
        *,
        port: str,
        timeout: float,
    ) -> GiveUp:
        """As `StreamLinks.ask`."""
        channel = agent.presence.channel
        if channel is None:
            raise _no_channel(agent)
        told = partial(_tell, agent, timeout, settle)
        number = channel.ask(command, _encode(arguments), _context(timeout, port), timeout, told)
        return partial(channel.give_up, number)

    async def open(
        self,
        agent: Agent,
        command: str,
        arguments: dict[str, Any],
        relay: StreamRelay,
        *,
        port: str,
        timeout: float,
    ) -> None:
        """As `StreamLinks.open`."""
        channel = agent.presence.channel
        if channel is None:
            raise _no_channel(agent)
        try:
            await self._open(agent, channel, command, arguments, relay, port, timeout)
            await relay.ended()
        finally:
            relay.abandon(HOST_LEFT)
            channel.forget(relay)

    async def _open(
        self,
        agent: Agent,
        channel: AgentChannel,
        command: str,
        arguments: dict[str, Any],
        relay: StreamRelay,
        port: str,
        timeout: float,
    ) -> None:
        context = _context(timeout, port)
        try:
            with anyio.fail_after(timeout):
                await channel.open(
                    command, _encode(arguments), context, relay, group=agent.session, port=port
                )
        except TimeoutError as error:
            raise too_slow(agent, timeout) from error


def _tell(
    agent: Agent, timeout: float, settle: Settle, untrusted_answer: bytes | CommandFailure | TimeoutError
) -> None:
    """Hand on how a call ended, as the router takes it."""
    if isinstance(untrusted_answer, bytes):
        settle(_read(agent, untrusted_answer))
    else:
        settle(too_slow(agent, timeout) if isinstance(untrusted_answer, TimeoutError) else untrusted_answer)


def _read(agent: Agent, untrusted_text: bytes) -> Outcome:
    try:
        return Result(decode_bounded(untrusted_text), untrusted_text)
    except JsonError as error:
        return CommandFailure(f"agent '{agent.name}' answered with what is no JSON: {error}")


def _hand_over(answer: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not answer.done():
        answer.set_result(outcome)


def _no_channel(agent: Agent) -> CommandFailure:
    return CommandFailure(f"agent '{agent.name}' has no channel")


def too_slow(agent: Agent, timeout: float) -> CommandFailure:
    """The failure of a call whose time is up."""
    return CommandFailure(
        f"agent '{agent.name}' did not answer within {timeout:g} s; the call was cancelled, {UNSURE}"
    )


@lru_cache(maxsize=64)
def _context(timeout: float, port: str) -> bytes:
    """What the agent is told beside the command; nearly always the same."""
    return encode({"deadline": timeout, "port": port})


def _is_bulk(command: str, arguments: dict[str, Any]) -> bool:
    """Whether a memfd is the better way: the kernel passes it on without a copy, and only one at a time is read."""
    if command == "guest-file-read":
        return bool(arguments.get("count", 0) > LARGE_BYTES)
    return rough_size(arguments) > LARGE_BYTES


def _encode(arguments: dict[str, Any]) -> bytes:
    try:
        return encode(arguments)
    except JsonError as error:
        raise CommandFailure(f"the arguments cannot be passed on: {error}") from error
