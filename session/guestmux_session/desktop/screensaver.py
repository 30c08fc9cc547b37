"""One screensaver service on the session bus: what it says of the lock, and what it can be asked.

The desktops' services are the same but for their names: org.freedesktop.ScreenSaver (KDE, and who follows the draft of
that name), org.gnome.ScreenSaver and its children. None is started for this: one that does not run locks nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal, SignalHandle
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH

ANSWER_SECONDS = 3.0
"""Seconds for an answer: a screen locker has to come up while it says that it locks."""

MAX_SIGNALS = 20
"""Signals within a second after which a service is not listened to for a while: users lock once in one, at most."""

REST_SECONDS = 5.0
"""Seconds of that while; then it is asked."""

OWNER_SECONDS = 0.1
"""Seconds until the next process that takes the name is listened to: some may take it and give it away all the time."""

ACTIVE_CHANGED = "ActiveChanged"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A service that desktops have.

    Attributes:
        name: its bus name, which is its interface's name as well.
        path: its object.
        lock_takes: what its Lock takes.
    """

    name: str
    path: str
    lock_takes: str = ""


KINDS = (
    Kind("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"),
    Kind("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"),
    Kind("org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver", "s"),
    Kind("org.mate.ScreenSaver", "/org/mate/ScreenSaver"),
    Kind("org.xfce.ScreenSaver", "/org/xfce/ScreenSaver"),
)


async def ask_active(bus: Bus, kind: Kind, owner: str = "") -> bool | None:
    """What a service says; None: something else.

    Args:
        bus: where it is.
        kind: the service.
        owner: the process that has its name; whoever has it, where not given.

    Raises:
        BusError: it is not there, does not answer, refuses, or the bus is lost.
    """
    where = (owner or kind.name, kind.path, kind.name)
    reply = await bus.call(*where, "GetActive", timeout=ANSWER_SECONDS)
    untrusted_active = reply.body[0] if reply.body else None
    return untrusted_active if isinstance(untrusted_active, bool) else None


class ScreenSaver:
    """One service, on one connection to the session bus.

    Args:
        bus: the connection.
        kind: which.
        changed: called when `active` has another value.

    Attributes:
        active: what it says; None: it does not run, or does not say.
    """

    def __init__(self, bus: Bus, kind: Kind, changed: Callable[[], None]) -> None:
        self.kind = kind
        self.active: bool | None = None
        self._bus = bus
        self._changed = changed
        self._signals = 0
        self._second = 0.0
        self._since = 0
        self._owner = ""
        self._owners = Pulse()
        self._trouble = News(logger, kind.name)

    def __repr__(self) -> str:
        return f"<ScreenSaver {self.kind.name} {self.active}>"

    @property
    def name(self) -> str:
        """Its bus name."""
        return self.kind.name

    async def follow(self, asked: Callable[[], None]) -> None:
        """Keep `active` true, until cancelled.

        Args:
            asked: called when it is, whenever the service was asked.

        Raises:
            BusError: the bus is lost.
        """
        async with self._hearing_of_owners():
            while True:
                seen = self._owners.count
                await self._listen(asked, seen)
                if seen == self._owners.count:
                    self._trouble.tell(
                        "changes all the time; it is not listened to for a while", logging.WARNING
                    )
                    await anyio.sleep(REST_SECONDS)
                else:
                    await anyio.sleep(OWNER_SECONDS)

    async def lock(self) -> None:
        """Have it lock. Raises BusError."""
        takes = self.kind.lock_takes
        await self._call("Lock", takes, [""] if takes else [])

    async def unlock(self) -> None:
        """Have it go away, which most refuse that want a password. Raises BusError."""
        await self._call("SetActive", "b", [False])

    async def _listen(self, asked: Callable[[], None], seen: int) -> None:
        """Listen to who owns the name now, until somebody else does or it says too much."""
        self._signals = self._since = 0
        noise = Pulse()
        handle = await self._bus.add_signal_handler(
            sender=self.kind.name,
            interface=self.kind.name,
            member=ACTIVE_CHANGED,
            handler=lambda signal: self._on_active(signal, noise),
        )
        try:
            self._owner = await self._find_owner()
            self._set(await self._get_active() if self._owner else None)
            asked()
            await self._until_over(noise, seen)
        finally:
            self._bus.remove_signal_handler(handle)

    async def _until_over(self, noise: Pulse, seen: int) -> None:
        async with anyio.create_task_group() as group:

            async def wait(pulse: Pulse, count: int) -> None:
                await pulse.wait_beyond(count)
                group.cancel_scope.cancel()

            group.start_soon(wait, noise, 0)
            group.start_soon(wait, self._owners, seen)

    async def _get_active(self) -> bool | None:
        try:
            active = await ask_active(self._bus, self.kind, self._owner)
        except BusError as error:
            if self._bus.lost_reason is not None:
                raise
            self._trouble.tell(f"does not say whether it is active: {error}")
            return None
        # What was signalled meanwhile is newer.
        return self.active if self._signals else active

    async def _call(self, member: str, signature: str, body: Sequence[Any]) -> None:
        kind = self.kind
        if not self._owner:
            raise CallError("org.freedesktop.DBus.Error.ServiceUnknown", f"{kind.name} does not run")
        where = (self._owner, kind.path, kind.name)
        await self._bus.call(*where, member, signature, body, timeout=ANSWER_SECONDS)

    async def _find_owner(self) -> str:
        try:
            reply = await self._bus.call(
                DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "GetNameOwner", "s", [self.kind.name]
            )
        except CallError:
            return ""
        return str(reply.body[0])

    @asynccontextmanager
    async def _hearing_of_owners(self) -> AsyncIterator[None]:
        def on_owner(signal: Signal) -> None:
            if signal.signature == "sss" and signal.body[0] == self.kind.name:
                self._owners.beat()

        handle: SignalHandle = await self._bus.add_signal_handler(
            sender=DBUS_NAME,
            interface=DBUS_INTERFACE,
            member="NameOwnerChanged",
            path=DBUS_PATH,
            handler=on_owner,
        )
        try:
            yield
        finally:
            self._bus.remove_signal_handler(handle)

    def _on_active(self, signal: Signal, noise: Pulse) -> None:
        now = anyio.current_time()
        if now - self._second > 1.0:
            self._second, self._since = now, 0
        self._signals += 1
        self._since += 1
        if self._since > MAX_SIGNALS:
            noise.beat()
        elif signal.signature == "b":
            self._set(signal.body[0])

    def _set(self, active: bool | None) -> None:
        if active != self.active:
            self.active = active
            self._changed()
