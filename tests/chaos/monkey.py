"""Kills, pauses and cuts, at random but by seed; what it did is in its diary."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

import anyio

from tests.chaos.child import Child
from tests.chaos.ledger import Ledger
from tests.chaos.logind import Logind
from tests.support.dbus_daemon import PrivateBus

MAX_PAUSE = 1.6
"""Seconds between two acts, at most; acts themselves take as long again, and overlap."""

HURRY = 0.6
"""The share of acts that do not wait until all is up again. On a busy machine they leave it no time to be."""

MAX_CALM = 10.0
"""Seconds for which the others wait for that."""

MAX_DEAD = 1.0
MAX_STOPPED = 1.0

Act = tuple[str, Callable[[], Awaitable[None]]]
"""Whom it befalls, and what does it."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that the monkey did.

    Attributes:
        time: when, in seconds since the epoch.
        what: it did.
    """

    time: float
    what: str


@dataclass(slots=True)
class Victims:
    """What it may lay its hands on.

    Attributes:
        eventd: the daemon under test.
        bus: its bus.
        logind: its logind.
        agents: its agents.
        hosts: its hosts, and the wire between.
    """

    eventd: Child
    bus: PrivateBus
    logind: Logind
    agents: list[Child]
    hosts: list[Child]


@dataclass(slots=True)
class Monkey:
    """The monkey.

    Attributes:
        victims: what it may kill.
        ledger: is told when eventd may miss something.
        seed: for what it does.
        calm: returns when eventd is up and takes agents' events.
        diary: what it did.
    """

    victims: Victims
    ledger: Ledger
    seed: int
    calm: Callable[[], Awaitable[object]]
    diary: list[Deed] = field(default_factory=list)
    _random: Random = field(init=False)
    _held: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._random = Random(f"monkey {self.seed}")

    def count(self, what: str) -> int:
        """How often it did something that begins so."""
        return sum(deed.what.startswith(what) for deed in self.diary)

    async def run(self, seconds: float) -> None:
        """Do it for this long, each kind of kill once in any case, and mend everything."""
        end = time.monotonic() + seconds
        kills = self._kills()
        async with anyio.create_task_group() as tasks:
            while kills or time.monotonic() < end:
                name, deed = kills.pop() if kills else self._choose()
                tasks.start_soon(self._alone, name, deed)
                await anyio.sleep(self._random.random() * MAX_PAUSE)
                if self._random.random() > HURRY:
                    with anyio.move_on_after(MAX_CALM):
                        await self.calm()

    def _kills(self) -> list[Act]:
        """One of each kind with -9, so that a short round has them all."""
        victims, random = self.victims, self._random
        children = [victims.eventd, random.choice(victims.agents), *victims.hosts]
        kills: list[Act] = [
            (child.name, partial(self._kill, child, signal.SIGKILL, random.random() * MAX_DEAD))
            for child in children
        ]
        kills.append(("bus", partial(self._kill_bus, random.random() * MAX_DEAD)))
        random.shuffle(kills)
        return kills

    def _choose(self) -> Act:
        random, victims = self._random, self.victims
        agent, host = random.choice(victims.agents), random.choice(victims.hosts)
        dead, stopped = random.random() * MAX_DEAD, random.random() * MAX_STOPPED
        deeds: list[tuple[float, str, Callable[[], Awaitable[None]]]] = [
            (3, "eventd", partial(self._kill, victims.eventd, signal.SIGKILL, dead)),
            (1, "eventd", partial(self._kill, victims.eventd, signal.SIGTERM, dead)),
            (2, "eventd", partial(self._stop, victims.eventd, stopped)),
            (1.5, "bus", partial(self._kill_bus, dead)),
            (1, "bus", partial(self._stop_bus, stopped)),
            (1, "logind", self._restart_logind),
            (2, agent.name, partial(self._kill, agent, signal.SIGKILL, dead)),
            (1, agent.name, partial(self._stop, agent, stopped)),
            (4, host.name, partial(self._kill, host, signal.SIGKILL, dead)),
            (2, host.name, partial(self._stop, host, stopped)),
        ]
        [(_weight, name, deed)] = random.choices(deeds, [weight for weight, *_ in deeds])
        return name, deed

    async def _alone(self, name: str, deed: Callable[[], Awaitable[None]]) -> None:
        """Do one thing at a time to each."""
        if name not in self._held:
            self._held.add(name)
            try:
                await deed()
            finally:
                self._held.remove(name)

    async def _kill(self, child: Child, how: signal.Signals, dead: float) -> None:
        breaks = child is self.victims.eventd
        self._did(f"{how.name} {child.name}", breaks=breaks)
        await anyio.to_thread.run_sync(child.end, how)
        await anyio.sleep(dead)
        self._did(f"start {child.name}", breaks=breaks)
        child.start()

    async def _stop(self, child: Child, stopped: float) -> None:
        self._did(f"SIGSTOP {child.name} for {stopped:.2f} s")
        child.send(signal.SIGSTOP)
        await anyio.sleep(stopped)
        child.send(signal.SIGCONT)

    async def _kill_bus(self, dead: float) -> None:
        self._did("SIGKILL bus", breaks=True)
        self.victims.bus.kill()
        await anyio.sleep(dead)
        self._did("start bus", breaks=True)
        self.victims.bus.restart()

    async def _stop_bus(self, stopped: float) -> None:
        self._did(f"SIGSTOP bus for {stopped:.2f} s")
        with self.victims.bus.stopped():
            await anyio.sleep(stopped)

    async def _restart_logind(self) -> None:
        self._did("restart logind", breaks=True)
        self.victims.logind.restart()

    def _did(self, what: str, *, breaks: bool = False) -> None:
        self.diary.append(Deed(time.time(), what))
        if breaks:
            self.ledger.broke()
