"""Keeps the guest's subscriptions as the streams want them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

from guestmux.asking import CALL_TIMEOUT
from guestmux.errors import (
    CallTimeout,
    CommandFailed,
    ConnectionLost,
    GuestmuxError,
    GuestTooOld,
    NotConnected,
)
from guestmux.event import SUBSCRIPTION
from guestmux.hub import EventHub
from guestmux.link import Link
from guestmux.stream import EventStream
from guestmux.stream_group import StreamGroup
from guestmux_protocol.errors import RemoteError

RENEW_AFTER = 60.0
"""Seconds of silence after which a subscription is renewed: behind a `qga` port the guest can restart unseen."""

logger = logging.getLogger(__name__)


class Ask(Protocol):
    """Runs a command in the guest."""

    async def __call__(
        self,
        command: str,
        arguments: dict[str, Any],
        patience: float,
        convert: Callable[[Any], Any] | None = None,
        /,
    ) -> Any:
        """See `Link.call`; waits `patience` seconds at most."""


class Subscriber:
    """Subscribes when a stream begins, and again when the guest forgot or was silent for long.

    Args:
        ask: runs a command in the guest, on the connection that there is then.
        renew_after: seconds of silence after which subscriptions are renewed.

    Attributes:
        hub: the streams.
    """

    def __init__(self, ask: Ask, renew_after: float = RENEW_AFTER) -> None:
        self.hub = EventHub(self._not_wanted)
        self._ask = ask
        self._renew_after = renew_after
        self._unwanted: set[str] = set()
        self._subscribing = anyio.Lock()
        self._changed = anyio.Event()
        self._to_acknowledge = anyio.Event()

    def __repr__(self) -> str:
        return f"<Subscriber {self.hub!r}>"

    def wake(self) -> None:
        """Look after the streams: something may have to be acknowledged, or ended."""
        self._to_acknowledge.set()
        if any(not group.streams for group in self.hub.named):
            self.changed()

    def changed(self) -> None:
        """Look whether the guest has to be asked anew."""
        self._changed.set()
        self._changed = anyio.Event()

    async def begin(self, stream: EventStream) -> None:
        """Subscribe, so that a stream has its snapshot."""
        group = self.hub.add(stream)
        try:
            while not stream.begun:
                try:
                    group = await self._subscribe(group)
                except ConnectionLost as error:
                    # Subscribing twice does no harm, so it is tried again on the next connection.
                    logger.debug("%s", error)
        except BaseException:
            # Or every later subscription would ask for what this one was refused.
            self.hub.remove(stream)
            raise

    async def run(self, link: Link) -> None:
        """Look after the subscriptions of one connection."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._acknowledge)
            await self._keep_subscribed(link)

    async def _subscribe(self, group: StreamGroup) -> StreamGroup:
        async with self._subscribing:
            # The guest allows only so many.
            await self._end_deserted()
            if group.interrupted:
                self._separate()
            try:
                await self._send(group, resume=True)
            except CommandFailed as error:
                if group.name and f"'{SUBSCRIPTION}'" in error.desc:
                    return await self._do_without_name(group, error)
                # The guest may be back at an earlier state of its memory, where our position is not yet.
                if not group.can_restart:
                    raise
                await self._send(group, resume=False)
        return group

    def _separate(self) -> None:
        before = len(self.hub.named)
        self.hub.separate()
        if len(self.hub.named) > before:
            self.changed()

    async def _do_without_name(self, group: StreamGroup, refusal: CommandFailed) -> StreamGroup:
        """Go on with a guest that knows one subscription only."""
        for stream in group.streams:
            if not stream.selection.is_plain:
                wishes = ", ".join(stream.selection.own)
                raise GuestTooOld(f"the guest's guestmux is too old for events with {wishes}: {refusal.desc}")
        self.hub.share(group)
        await self._send(self.hub.shared, resume=True)
        return self.hub.shared

    async def _send(self, group: StreamGroup, *, resume: bool) -> None:
        convert, arguments = group.on_subscribed(resume=resume), group.arguments(resume=resume)
        await self._ask("guest-event-subscribe", arguments, CALL_TIMEOUT, convert)

    async def _keep_subscribed(self, link: Link) -> None:
        """Subscribe again when the guest forgot, or was silent for long."""
        quiet = False
        while True:
            changed = self._changed
            for group in self.hub.groups:
                if group.interrupted or quiet:
                    await self._renew(link, group)
            await self._end_unwanted(link)
            received = link.received
            with anyio.move_on_after(self._renew_after) as waiting:
                await changed.wait()
            quiet = waiting.cancelled_caught and link.received == received and not link.blocked

    async def _renew(self, link: Link, group: StreamGroup) -> None:
        if error := await self._try(link, lambda: self._subscribe(group)):
            group.end(error)

    async def _end_unwanted(self, link: Link) -> None:
        async def end() -> None:
            async with self._subscribing:
                await self._end_deserted()
                if "" in unwanted and not self.hub.shared.streams:
                    await self._ask("guest-event-unsubscribe", {}, CALL_TIMEOUT)

        unwanted, self._unwanted = self._unwanted, set()
        deserted = any(not group.streams for group in self.hub.named)
        if (unwanted or deserted) and (error := await self._try(link, end)):
            logger.debug("a subscription that nobody wants: %s", error)

    async def _end_deserted(self) -> None:
        for name in self.hub.take_deserted():
            await self._ask("guest-event-unsubscribe", {SUBSCRIPTION: name}, CALL_TIMEOUT)

    async def _try(
        self, link: Link, work: Callable[[], Awaitable[object]]
    ) -> GuestmuxError | RemoteError | None:
        """Ask the guest something; gives its refusal. A lost connection is none."""
        try:
            await work()
        except CallTimeout:
            link.end("the guest stopped answering")
        except (ConnectionLost, NotConnected) as error:
            logger.debug("%s", error)
        except (GuestmuxError, RemoteError) as error:
            return error
        return None

    async def _acknowledge(self) -> None:
        """Tell the guest what consumers are done with, where it counts: one call at a time, for all that was since."""
        while True:
            await self._to_acknowledge.wait()
            self._to_acknowledge = anyio.Event()
            for group in self.hub.named:
                if (seq := group.acknowledgement()) is not None:
                    await self._tell(group.name, seq)

    async def _tell(self, name: str, seq: int) -> None:
        try:
            await self._ask("guest-event-ack", {"seq": seq, SUBSCRIPTION: name}, CALL_TIMEOUT)
        except (GuestmuxError, RemoteError) as error:
            # Whoever subscribes again begins to count anew.
            logger.debug("%s was not acknowledged: %s", seq, error)

    def _not_wanted(self, name: str) -> None:
        if name not in self._unwanted:
            self._unwanted.add(name)
            self.changed()
