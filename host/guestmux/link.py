"""One connection to a guest: JSON at first, mux where the guest can, JSON again when that restarted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio

from guestmux.errors import ConnectError, ConnectionLost
from guestmux.guest_stream import GuestStream
from guestmux.json_talk import JsonTalk, OnEvents
from guestmux.mux_talk import HUNG_UP, MuxTalk
from guestmux_protocol import messages
from guestmux_protocol.addresses import DialAddress
from guestmux_transport.dial import dial
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import OpenError

ASK_AGAIN_SECONDS = 3.0
"""Silence after which a guest is asked again who it is: while it boots its kernel drops what comes at a bad moment.
Rare enough not to fill a socket's buffer for one that is off: 100 KB in an hour."""

logger = logging.getLogger(__name__)


class Link:
    """One connection, from dialling to its end.

    Args:
        pipe: the bytes.
        timeout: seconds that a guest which restarted has to answer.
        mux: whether to go over to mux where the guest can.
        on_events: called for all events.
        settled: tells up to which event all consumers are done.
        on_restart: called when the guest's side restarted under the connection.
        on_garbled: called when something was cut off that may have been an event.
        on_change: called when `ready` may have changed.
    """

    def __init__(
        self,
        pipe: Pipe,
        *,
        timeout: float,
        mux: bool,
        on_events: OnEvents,
        settled: Callable[[], int],
        on_restart: Callable[[str], None],
        on_garbled: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self._pipe = pipe
        self._timeout = timeout
        self._mux = mux
        self._on_events = on_events
        self._settled = settled
        self._on_restart = on_restart
        self._on_garbled = on_garbled
        self._on_change = on_change
        self._why_ended = ""
        self._greeting: messages.Greeting | None = None
        self._talk: JsonTalk | MuxTalk = self._begin()

    def __repr__(self) -> str:
        return f"<Link {self._pipe.name} {self._talk!r}>"

    @property
    def dialect(self) -> str:
        """`qga`, `qmp` or `mux`."""
        return self._talk.dialect

    @property
    def greeting(self) -> messages.Greeting | None:
        """The guest's greeting, on a `qmp` port."""
        return self._talk.greeting

    @property
    def ready(self) -> bool:
        """Whether a call can be sent now."""
        return self._talk.ready and not self._why_ended

    @property
    def received(self) -> int:
        """Bytes that came so far."""
        return self._pipe.received

    @property
    def concurrent(self) -> bool:
        """Whether calls overtake each other."""
        return self._talk.concurrent

    @property
    def blocked(self) -> bool:
        """Whether a call sent now would wait behind others."""
        return bool(self._talk.calls) and not self._talk.concurrent

    async def handshake(self) -> None:
        """Wait until the guest answers.

        Raises:
            ConnectionLost: the connection ended first.
        """
        while isinstance(self._talk, JsonTalk) and not self.ready:
            with anyio.move_on_after(ASK_AGAIN_SECONDS) as patience:
                if not await self._take(self._talk):
                    raise ConnectionLost(HUNG_UP)
            if patience.cancelled_caught:
                self._talk.ask_again()

    async def run(self) -> str:
        """Take what comes until the connection ends; the calls under way fail then. Gives the reason."""
        while not self._why_ended:
            if isinstance(self._talk, MuxTalk):
                await self._serve(self._talk)
            elif not await self._take(self._talk):
                break
        self.end(HUNG_UP)
        return self._why_ended

    def end(self, reason: str) -> None:
        """Close the connection."""
        if self._why_ended:
            return
        self._why_ended = reason
        self._pipe.close()
        self._talk.fail_calls(reason)
        self._on_change()

    async def call(
        self, command: str, arguments: dict[str, Any], convert: Callable[[Any], Any] | None = None
    ) -> Any:
        """Run a command in the guest.

        Args:
            command: its name.
            arguments: its arguments.
            convert: makes the result of the reply, before anything that came after it is looked at.

        Raises:
            RemoteError: the guest refused.
            ConnectionLost: the connection ended before the reply.
            GuestmuxError: `convert` raised it.
            JsonError: an argument is no JSON value.
            NotReady: `ready` is not true.
        """
        return await self._talk.call(command, arguments, convert)

    async def open(self, command: str, arguments: dict[str, Any]) -> GuestStream:
        """Open a stream.

        Raises:
            NoStreams: the dialect has none.
            RemoteError: the guest refused.
            ConnectionLost: the connection ended before the reply.
            JsonError: an argument is no JSON value.
            NotReady: `ready` is not true.
        """
        return await self._talk.open(command, arguments)

    def _begin(self) -> JsonTalk:
        return JsonTalk(
            self._pipe,
            mux=self._mux,
            on_events=self._on_events,
            on_restart=self._on_restart,
            on_garbled=self._on_garbled,
            on_change=self._on_change,
        )

    async def _take(self, talk: JsonTalk, data: bytes | None = None) -> bool:
        more = await talk.take(data)
        if talk.upgraded is not None:
            self._talk = MuxTalk(self._pipe, talk.upgraded, self._on_events, self._settled)
            self._on_change()
        return more

    async def _serve(self, talk: MuxTalk) -> None:
        """Speak mux until that ends, then JSON with whoever is there now."""
        ended = await talk.run()
        if self._why_ended:
            return
        if ended.rest is None:
            self.end(ended.reason)
            return
        logger.info("%s: %s", self._pipe.name, ended.reason)
        self._talk = restarted = self._begin()
        (self._on_garbled if ended.garbled else self._on_restart)(ended.reason)
        self._on_change()
        try:
            with anyio.move_on_after(self._timeout) as waiting:
                await self._take(restarted, ended.rest)
                await self.handshake()
        except ConnectionLost as error:
            self.end(str(error))
        if waiting.cancelled_caught:
            self.end("the guest's side restarted, and does not answer")


async def open_link(
    address: DialAddress,
    timeout: float,
    *,
    mux: bool,
    on_events: OnEvents,
    settled: Callable[[], int],
    on_restart: Callable[[str], None],
    on_garbled: Callable[[str], None],
    on_change: Callable[[], None],
) -> Link:
    """Dial a guest and wait for its first word.

    Args:
        address: where.
        timeout: seconds for all of it.
        mux: see `Link`.
        on_events: see `Link`.
        settled: see `Link`.
        on_restart: see `Link`.
        on_garbled: see `Link`.
        on_change: see `Link`.

    Raises:
        ConnectError: there is no such address, or nobody answers.
    """
    try:
        pipe = await dial(address)
    except OpenError as error:
        raise ConnectError(str(error)) from error
    link = Link(
        pipe,
        timeout=timeout,
        mux=mux,
        on_events=on_events,
        settled=settled,
        on_restart=on_restart,
        on_garbled=on_garbled,
        on_change=on_change,
    )
    established = False
    try:
        with anyio.move_on_after(timeout):
            await link.handshake()
            established = True
    except ConnectionLost as error:
        raise ConnectError(f"{address}: {error}; is another host connected, or the guest off?") from error
    finally:
        if not established:
            link.end("not connected")
    if not established:
        raise ConnectError(
            f"nobody answers on {address} within {timeout:g} s: is guestmux-eventd running in the guest, and no other"
            " host connected?"
        )
    return link
