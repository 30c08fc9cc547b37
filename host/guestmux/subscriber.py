"""Keeps the guest's subscriptions as the streams want them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

from guestmux.about_stream import BEACON
from guestmux.asking import CALL_TIMEOUT
from guestmux.calling import read_as
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
from guestmux_protocol.commands import Position, Subscription
from guestmux_protocol.errors import RemoteError

RENEW_AFTER = 60.0
"""Seconds without an event after which a subscription is renewed: behind a `qga` port the guest can restart unseen, and
one whose memory was set back may know nothing of it."""

SET_BACK = "the guest's memory was set back under the connection"

NEVER = 2**53 - 1
"""A number that no run comes to: a guest that is told of it begins a new run. The largest that is exact in any JSON."""

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
        self._set_back = anyio.Event()
        self.hub = EventHub(self._not_wanted, self._was_set_back)
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
            tasks.start_soon(self._give_up_when_set_back, link)
            await self._keep_subscribed(link)

    async def _subscribe(self, group: StreamGroup) -> StreamGroup:
        async with self._subscribing:
            await self._look_into_doubts()
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

    async def _look_into_doubts(self) -> None:
        """See to it that no position is given out twice from now on, and that other hosts are told where theirs was."""
        try:
            if self.hub.suspected:
                answer = await self._probe({})
                if answer.epoch == self.hub.suspected:
                    self.hub.restored(Position(epoch=answer.epoch, seq=answer.seq))
                self.hub.suspected = ""
            if self.hub.doubted:
                await self._probe({"since": {"epoch": self.hub.doubted, "seq": NEVER}})
        except CommandFailed as error:
            logger.debug("no run begins: %s", error)
        self.hub.suspected = self.hub.doubted = ""

    async def _probe(self, position: dict[str, Any]) -> Subscription:
        """Subscribe to nothing; gives the guest's answer."""
        name = self.hub.new_name()
        wanted = {SUBSCRIPTION: name, "events": [BEACON], **position}
        value = await self._ask("guest-event-subscribe", wanted, CALL_TIMEOUT)
        await self._ask("guest-event-unsubscribe", {SUBSCRIPTION: name}, CALL_TIMEOUT)
        return read_as(Subscription, "guest-event-subscribe", value)

    async def _give_up_when_set_back(self, link: Link) -> None:
        """The guest knows nothing of what is under way there, or of how far the two were."""
        while not self.hub.is_set_back:
            self._set_back = anyio.Event()
            await self._set_back.wait()
        link.end(SET_BACK)

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
        """Subscribe again when the guest forgot, or told nothing for long."""
        quiet: list[StreamGroup] = []
        while True:
            changed = self._changed
            for group in self.hub.groups:
                if group.interrupted or group in quiet:
                    await self._renew(link, group)
            await self._end_unwanted(link)
            fed = {group: group.fed for group in self.hub.groups}
            with anyio.move_on_after(self._renew_after) as waiting:
                await changed.wait()
            quiet = []
            if waiting.cancelled_caught and not link.blocked:
                quiet = [group for group, count in fed.items() if group.fed == count]

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

    def _was_set_back(self) -> None:
        self._set_back.set()

    def _not_wanted(self, name: str) -> None:
        if name not in self._unwanted:
            self._unwanted.add(name)
            self.changed()
