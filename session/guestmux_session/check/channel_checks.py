"""Checks on an agent's channel, where it asks for one: the frames of docs/mux.md, with eventd's end played."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import msgspec

from guestmux_protocol.errors import RemoteError
from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.messages import COMMAND_NOT_FOUND
from guestmux_protocol.mux import Event
from guestmux_session.check.call_checks import ODD, UNKNOWN
from guestmux_session.check.findings import Finding, failed, passed
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.mux_errors import MuxLost
from guestmux_transport.owned_pipe import owned_pipe

SPEAK_SECONDS = 5.0
"""eventd waits 30 s for the first frames; an agent that asked for a channel has nothing better to do."""

CONTEXT = b'{"deadline": 10.0, "port": "check"}'

Take = Callable[[str, Any], object]


class PlayedChannel:
    """eventd's end of a channel.

    Args:
        ours: the socket; taken over.
        take: takes an event's name and data. Every event is acknowledged, so that the agent goes on.
    """

    def __init__(self, ours: socket.socket, take: Take) -> None:
        self._take = take
        ours.setblocking(False)
        self._pipe = owned_pipe("channel", ours.detach())
        self.mux = MuxConnection(self._pipe, "asker", party="host", on_events=self._acknowledge)
        self._task = asyncio.get_running_loop().create_task(self.mux.run())

    async def aclose(self) -> None:
        """Hang up."""
        self._pipe.close()
        self._task.cancel()
        await asyncio.wait([self._task])

    def _acknowledge(self, events: list[Event]) -> None:
        for event in events:
            self._take(event.name, _decoded(event.data))
            self.mux.ack(event.seq, event.seq)


async def channel_checks(channel: PlayedChannel) -> AsyncIterator[Finding]:
    """All of them."""
    yield await _asked(channel, "channel", b"{}")
    yield await _asked(channel, "channel-arguments", msgspec.json.encode(ODD))
    yield await _opened(channel)


async def _asked(channel: PlayedChannel, check: str, arguments: bytes) -> Finding:
    try:
        with anyio.fail_after(SPEAK_SECONDS):
            await channel.mux.call(UNKNOWN, arguments, CONTEXT)
    except RemoteError as error:
        return _not_found(check, error)
    except (TimeoutError, MuxLost) as error:
        return _silent(check, error)
    todo = f"answer REQUESTs of commands that are not yours by ERROR {COMMAND_NOT_FOUND}"
    return failed(check, "a command that it never declared: it answered with a result", todo)


async def _opened(channel: PlayedChannel) -> Finding:
    check = "channel-stream"
    try:
        with anyio.fail_after(SPEAK_SECONDS):
            await (await channel.mux.open(UNKNOWN, b"{}", CONTEXT)).aclose()
    except RemoteError as error:
        return _not_found(check, error)
    except (TimeoutError, MuxLost) as error:
        return _silent(check, error)
    todo = f"answer OPENs of streams that are not yours by ERROR {COMMAND_NOT_FOUND}"
    return failed(check, "a stream that it never declared is open", todo)


def _decoded(untrusted_text: bytes) -> Any:
    """What is no JSON fits no schema: that is what is noted then."""
    try:
        return decode(untrusted_text)
    except JsonError:
        return None


def _not_found(check: str, error: RemoteError) -> Finding:
    if error.error_class == COMMAND_NOT_FOUND:
        return passed(check, f"what it never declared: ERROR {COMMAND_NOT_FOUND}")
    todo = f"answer what is not yours by ERROR {COMMAND_NOT_FOUND}"
    return failed(check, f"what it never declared: ERROR {error.error_class}", todo)


def _silent(check: str, error: Exception) -> Finding:
    text = f"no answer within {SPEAK_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
    return failed(
        check, text, "speak the frames of docs/mux.md as the server, HELLO first, and answer every REQUEST"
    )
