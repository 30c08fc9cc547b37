"""Inhibitor locks, and a shutdown or sleep that waits for them. Nothing is shut down.

Source: logind-inhibit.c and bus_manager_shutdown_or_sleep_now_or_later() in logind-dbus.c, systemd 252.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.effects import Changed, Effect, Signal
from guestmux_transport.errors import BusLost, MethodError

INHIBIT_DELAY_MAX_USEC: Final = 5_000_000
"""logind.conf's default for InhibitDelayMaxSec: no delay inhibitor holds an action for longer."""

WHATS: Final = (
    "shutdown",
    "sleep",
    "idle",
    "handle-power-key",
    "handle-suspend-key",
    "handle-hibernate-key",
    "handle-lid-switch",
    "handle-reboot-key",
)
"""What can be inhibited, in the order in which logind lists it."""

SHUTDOWN, SLEEP = "shutdown", "sleep"
_SIGNALS: Final = {SHUTDOWN: "PrepareForShutdown", SLEEP: "PrepareForSleep"}
_MODES: Final = frozenset({"block", "delay"})


@dataclass(frozen=True, slots=True, eq=False)
class Inhibitor:
    """One lock, held for as long as any copy of the descriptor that was handed out is open."""

    whats: frozenset[str]
    who: str
    why: str
    mode: str
    uid: int
    pid: int

    @property
    def what(self) -> str:
        """The colon-separated list, as ListInhibitors shows it."""
        return join_whats(self.whats)


@dataclass(frozen=True, slots=True)
class Delayed:
    """How a shutdown or sleep went: how long it was held, and who still held it when time was up."""

    microseconds: int
    still_holding: list[str]


class Inhibitors:
    """The locks, and the one action that may be waiting for them."""

    def __init__(self, tell: Callable[[list[Effect]], None], delay_max_usec: int) -> None:
        """Begin with none.

        Args:
            tell: tells the bus.
            delay_max_usec: microseconds that an action waits for delay inhibitors.
        """
        self._tell = tell
        self._held: dict[int, Inhibitor] = {}
        self._released = anyio.Event()
        self.delay_max_usec = delay_max_usec
        self.preparing = ""

    def __iter__(self) -> Iterator[Inhibitor]:
        return iter(self._held.values())

    def inhibited(self, mode: str) -> str:
        """What is inhibited in a mode, colon-separated (BlockInhibited, DelayInhibited)."""
        return join_whats(frozenset().union(*(each.whats for each in self if each.mode == mode)))

    def take(self, what: str, who: str, why: str, mode: str, *, uid: int, pid: int) -> int:
        """Take a lock.

        Returns:
            A descriptor for the caller, who owns it: the lock ends when every copy of it is closed.

        Raises:
            MethodError: logind would not give it either.
        """
        inhibitor = Inhibitor(_parse_whats(what), who, why, mode, uid, pid)
        self._check(inhibitor)
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._held[ours] = inhibitor
        asyncio.get_running_loop().add_reader(ours, self._look, ours)
        self._tell_inhibited(mode)
        return theirs

    async def announce(self, what: str) -> Delayed:
        """Announce a shutdown or sleep, and return when it would go on.

        Raises:
            MethodError: one is on its way already.
        """
        if self.preparing:
            text = "The operation inhibition has been requested for is already running"
            raise MethodError(names.OPERATION_IN_PROGRESS, text)
        began = asyncio.get_running_loop().time()
        self._prepare(what, begins=True)
        with anyio.move_on_after(self.delay_max_usec / 1_000_000):
            while self._delaying(what):
                self._released = anyio.Event()
                await self._released.wait()
        took = round((asyncio.get_running_loop().time() - began) * 1_000_000)
        return Delayed(took, [each.who for each in self._delaying(what)])

    def end(self) -> None:
        """The action is over: the machine woke up again, or the shutdown was called off."""
        if self.preparing:
            what, self.preparing = self.preparing, ""
            self._prepare(what, begins=False)

    def close(self) -> None:
        """Drop all locks."""
        for fd in tuple(self._held):
            self._drop(fd)

    def _check(self, inhibitor: Inhibitor) -> None:
        if inhibitor.mode not in _MODES:
            raise MethodError(names.INVALID_ARGS, f"Invalid mode specification {inhibitor.mode}")
        if inhibitor.mode == "delay" and not inhibitor.whats <= _SIGNALS.keys():
            text = "Delay inhibitors only supported for shutdown and sleep"
            raise MethodError(names.INVALID_ARGS, text)
        if self.preparing in inhibitor.whats:
            text = "The operation inhibition has been requested for is already running"
            raise MethodError(names.OPERATION_IN_PROGRESS, text)

    def _look(self, fd: int) -> None:
        # Whatever a holder writes is nothing to us; the end of file is the lock's end.
        if os.read(fd, 4096) == b"":
            mode = self._held[fd].mode
            self._drop(fd)
            self._released.set()
            # Holders go with the bus: then there is nobody to tell.
            with suppress(BusLost):
                self._tell_inhibited(mode)

    def _drop(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        del self._held[fd]
        os.close(fd)

    def _delaying(self, what: str) -> list[Inhibitor]:
        return [each for each in self if each.mode == "delay" and what in each.whats]

    def _prepare(self, what: str, *, begins: bool) -> None:
        self.preparing = what if begins else ""
        self._tell([Signal(names.MANAGER_PATH, names.MANAGER, _SIGNALS[what], "b", (begins,))])

    def _tell_inhibited(self, mode: str) -> None:
        changed = "BlockInhibited" if mode == "block" else "DelayInhibited"
        self._tell([Changed(names.MANAGER_PATH, names.MANAGER, (changed,))])


def join_whats(whats: frozenset[str]) -> str:
    """Join what is inhibited as logind does, in its order."""
    return ":".join(what for what in WHATS if what in whats)


def _parse_whats(text: str) -> frozenset[str]:
    whats = frozenset(text.split(":"))
    if not whats <= frozenset(WHATS):
        raise MethodError(names.INVALID_ARGS, f"Invalid what specification {text}")
    return whats
