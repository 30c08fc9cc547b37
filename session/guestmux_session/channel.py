"""The socket between eventd and an agent: calls, streams and events in the frames of docs/mux.md."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from guestmux_protocol.mux import MuxError, MuxFull, MuxTooLarge
from guestmux_session.channel_service import ChannelService
from guestmux_session.emission import BadAcknowledgement, Emission
from guestmux_session.errors import AgentError, Disconnected, LimitExceeded, TooLarge, refusal
from guestmux_session.serving import Serving
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe_errors import OpenError

LINGER = 1.0
"""Seconds at the end for the last answers to go out."""

NAME = "the channel to eventd"

logger = logging.getLogger(__name__)


class Channel:
    """A channel in use, until it is lost or closed.

    What eventd sends is checked by the multiplexer; whatever breaks a rule ends the channel.

    Args:
        connection: our end, not blocking; taken over.
        serving: the agent's commands.
        max_streams: streams at a time.
        changed: called when it is lost.
        complain: is told of a refused event whose sender does not wait.

    Attributes:
        emission: the way out for events.
        lost_reason: why it is over; None while it is not.

    Raises:
        Disconnected: no descriptors are left for it.
    """

    def __init__(
        self,
        connection: socket.socket,
        serving: Serving,
        max_streams: int,
        changed: Callable[[], None],
        complain: Callable[[AgentError], None],
    ) -> None:
        try:
            self._pipe = owned_pipe(NAME, connection.detach())
        except OpenError as error:
            raise Disconnected(str(error)) from error
        self._changed = changed
        self._service = ChannelService(serving, max_streams)
        self._mux = MuxConnection(
            self._pipe,
            "server",
            party="agent",
            serve=self._service,
            on_ack=self._on_ack,
            on_nak=self._on_nak,
        )
        self._service.connection = self._mux
        self.emission = Emission(self._send_event, complain)
        self.lost_reason: str | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def __repr__(self) -> str:
        return f"<Channel {self.lost_reason or 'OPEN'}>"

    async def aclose(self, reason: str) -> None:
        """Stop what runs on it, let the answers go out, and close it."""
        if self.lost_reason is None:
            self._over(reason)
            try:
                async with asyncio.timeout(LINGER):
                    await self._mux.flush()
            except TimeoutError:
                logger.debug("%s was closed with bytes unsent", NAME)
        self._pipe.close()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        reason = "it failed"
        try:
            end = await self._mux.run()
            reason = end.reason
            # On a channel there is nothing to fall back to, so a reset is as wrong as any violation.
            level = logging.INFO if end.reset_rest is None else logging.ERROR
            logger.log(level, "%s ended: %s", NAME, reason)
        finally:
            self._pipe.close()
            if self.lost_reason is None:
                self._over(f"{NAME} ended: {reason}")
                self._changed()

    def _over(self, reason: str) -> None:
        self.lost_reason = reason
        self._service.close(reason)
        self.emission.close(reason)

    def _send_event(self, seq: int, name: str, text: bytes, time: int) -> None:
        try:
            self._mux.event(seq, name, text, time)
        except MuxFull as error:
            raise LimitExceeded(str(error)) from error
        except MuxTooLarge as error:
            raise TooLarge(str(error)) from error

    def _on_ack(self, untrusted_seq: int, untrusted_number: int | None) -> None:
        try:
            self.emission.acknowledged(untrusted_seq, untrusted_number)
        except BadAcknowledgement as error:
            raise MuxError(str(error)) from error

    def _on_nak(self, untrusted_seq: int, untrusted_class: str, untrusted_text: str) -> None:
        try:
            self.emission.refused(untrusted_seq, refusal(untrusted_class, untrusted_text))
        except BadAcknowledgement as error:
            raise MuxError(str(error)) from error
