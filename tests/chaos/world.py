"""The world in which the monkey lives: eventd, its bus, a logind, agents and hosts, each a process of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio

from tests.chaos.actor import Actor
from tests.chaos.child import Child, Stuck
from tests.chaos.claims import Emitted, read_emitted
from tests.chaos.gaps import Causes
from tests.chaos.ledger import Ledger
from tests.chaos.logind import Logind
from tests.chaos.monkey import Monkey, Victims
from tests.chaos.records import position_after, read_last
from tests.chaos.referee import Case
from tests.chaos.stored import read_stored
from tests.chaos.vitals import Vitals
from tests.chaos.witness import Sight, Witness
from tests.support.dbus_daemon import PrivateBus, private_bus

AGENTS = 3
"""Agents that emit over a channel; a fourth does by bare calls."""

NOT_CLAIMED = ["SESSION_*", "AGENT_*", "POWER_*", "NETWORK_*", "PACKAGES_*", "TIME_*"]
"""Everything but what agents emit."""

RINGS = [2_048, 8_192, 32_768]
"""Events in memory: how much of an absence it bridges."""

JOURNAL_BYTES = 64 << 20
"""As by default."""

UP_SECONDS = 120.0
"""For everything to come up, or to be in step again: a second or two, more on a machine that does much else."""

QUIET_SECONDS = 120.0
"""For a host that catches up with what it missed to come further, and for eventd to see that all agents are gone."""


@dataclass(slots=True)
class World:
    """All of it.

    Attributes:
        directory: where its files are.
        seed: what all randomness begins with.
        rate: events a second that the agents emit, in sum.
        bus: its bus.
        ring: events that eventd keeps in memory.
    """

    directory: Path
    bus: PrivateBus
    seed: int
    rate: int
    ring: int = 0
    lasting: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    vitals: Vitals = field(init=False)
    logind: Logind = field(init=False)
    witness: Witness = field(init=False)
    monkey: Monkey = field(init=False)
    actor: Actor = field(init=False)
    eventd: Child = field(init=False)
    agents: list[Child] = field(init=False)
    hosts: dict[str, Child] = field(init=False)
    proxy: Child = field(init=False)

    def __post_init__(self) -> None:
        self.ring = self.ring or Random(f"ring {self.seed}").choice(RINGS)
        self.eventd = self._eventd()
        self.vitals = Vitals(self.eventd, self.directory / "journal")
        self.logind = Logind(self.bus.address, self.ledger)
        self.witness = Witness(self._path("witness"))
        home = self.logind.login("home", os.getuid(), seat="")
        self.actor = Actor(self.logind, self.witness, home, self.seed)
        self.proxy = self._child("wire", "proxy_process", self._path("wire"), self._path("durable"))
        self.hosts = {
            "durable": self._host("durable", "wire", "*"),
            "sparing": self._host("sparing", "sparing", *NOT_CLAIMED),
            "sdk": self._library_host(),
            "slow": self._host("slow", "slow", "*", "--pace", "20000"),
            "deaf": self._host("deaf", "deaf", "*", "--pace", "0"),
        }
        self.agents = [self._agent(number, home) for number in range(AGENTS)] + [self._bare_agent(home)]
        moving = [self.hosts["durable"], self.hosts["sparing"], self.hosts["sdk"], self.proxy]
        victims = Victims(self.eventd, self.bus, self.logind, self.agents, moving)
        self.monkey = Monkey(victims, self.ledger, self.seed, self._flowing)

    @property
    def children(self) -> list[Child]:
        """Every process but the bus."""
        return [self.eventd, self.proxy, *self.hosts.values(), *self.agents]

    async def run(self, seconds: float) -> None:
        """Let people and the monkey act for so long, then mend everything and wait until all is told.

        Raises:
            Stuck: it is not, or something ended by itself.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.logind.run)
            tasks.start_soon(self.witness.run)
            tasks.start_soon(self.vitals.run)
            await self._begin()
            await self._all_flowing("agents do not come up")
            async with anyio.create_task_group() as acting:
                acting.start_soon(self.actor.run)
                await self.monkey.run(seconds)
                acting.cancel_scope.cancel()
            await self._come_to_rest()
            tasks.cancel_scope.cancel()

    async def overload(self, seconds: float) -> int:
        """Let agents emit, and nothing be killed; returns how many events that were.

        Raises:
            Stuck: eventd does not come up.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.logind.run)
            tasks.start_soon(self.witness.run)
            await self._begin()
            tasks.start_soon(self.vitals.run)
            before = await self.witness.next()
            await anyio.sleep(seconds)
            after = await self.witness.next()
            tasks.cancel_scope.cancel()
        return after.seq - before.seq

    async def _begin(self) -> None:
        self.eventd.start()
        await self._in_step("eventd does not come up")
        for child in (self.proxy, *self.hosts.values()):
            child.start()
        for name in self.hosts:
            await self._heard(name, 0)
        for agent in self.agents:
            agent.start()

    async def _come_to_rest(self) -> None:
        self._check_alive()
        await self._all_flowing("agents do not come back, after everything was mended")
        for agent in self.agents:
            agent.end(signal.SIGKILL)
        for name in ("slow", "deaf"):
            self.hosts[name].send(signal.SIGUSR1)
        await self._quiet()
        last = await self._in_step("eventd does not know what logind did, after everything was mended")
        for name in self.hosts:
            await self._heard(name, last.seq)
        self._check_alive()

    def _check_alive(self) -> None:
        if dead := [child.name for child in self.children if child.wanted and not child.pid]:
            raise Stuck(f"ended by itself: {', '.join(dead)}")

    async def _in_step(self, otherwise: str) -> Sight:
        sight = await self.actor.sync(UP_SECONDS)
        if sight is None:
            raise Stuck(f"{otherwise}, within {UP_SECONDS:g} s")
        return sight

    async def _all_flowing(self, otherwise: str) -> None:
        with anyio.move_on_after(UP_SECONDS):
            await self._flowing(len(self.agents))
            return
        raise Stuck(f"{otherwise}, within {UP_SECONDS:g} s: {self.witness.sights[-1]}")

    async def _flowing(self, agents: int = 1) -> None:
        """Wait until so many agents are registered, and events are taken."""
        before = await self.witness.next()
        while True:
            now = await self.witness.next()
            if now.agents >= agents and now.epoch == before.epoch and now.seq > before.seq:
                return
            before = now

    async def _quiet(self) -> None:
        """Wait until nothing happens any more: eventd has worked off what agents sent, and seen them go."""
        with anyio.move_on_after(QUIET_SECONDS):
            before = await self.witness.next()
            while True:
                await anyio.sleep(0.5)
                now = await self.witness.next()
                if now.agents == 0 and (now.epoch, now.seq) == (before.epoch, before.seq):
                    return
                before = now
        last = self.witness.sights[-1]
        raise Stuck(f"{last.agents} agents, which are dead, and event {last.seq} after {QUIET_SECONDS:g} s")

    async def _heard(self, name: str, seq: int) -> None:
        """Wait until a host has heard everything."""
        record, until = None, time.monotonic() + QUIET_SECONDS
        while time.monotonic() < until:
            before, record = record, read_last(self.record_of(name))
            if record != before:
                until = time.monotonic() + QUIET_SECONDS
            at = position_after(record) if record is not None else ("", -1)
            if at[0] == self.witness.epochs[-1] and at[1] >= seq:
                return
            await anyio.sleep(0.1)
        raise Stuck(f"host '{name}' is at {record}, not at {seq}, and no further in {QUIET_SECONDS:g} s")

    def case(self) -> Case:
        """What the referee is to judge, when all is at rest."""
        restarts = self.monkey.count("start eventd")
        crashes = self.monkey.count("SIGKILL eventd")
        killed = {"sdk": self.monkey.count("SIGKILL sdk")}
        causes = Causes(self.ring, crashes, restarts, self.lasting, self.witness.sights, killed)
        heard = {name: self.record_of(name) for name in self.hosts}
        sparing = {name: heard.pop(name) for name in ("sparing", "sdk")}
        stored = read_stored(self.directory / "journal", self.directory / "judged")
        return Case(heard, sparing, self.ledger, self.emitted(), causes, stored)

    def emitted(self) -> list[Emitted]:
        """What agents emitted."""
        return [read_emitted(agent.name, self.log_of(agent)) for agent in self.agents]

    def record_of(self, name: str) -> Path:
        """What a host heard."""
        return self.directory / f"{name}.record"

    def log_of(self, agent: Child) -> Path:
        """What an agent emitted."""
        return self.directory / f"{agent.name}.emitted"

    def _path(self, name: str) -> str:
        return str(self.directory / name)

    def _child(self, name: str, module: str, *arguments: str) -> Child:
        return Child(name, self.directory / f"{name}.log", f"tests.chaos.{module}", *arguments)

    def _host(self, name: str, socket: str, *arguments: str) -> Child:
        return self._child(name, "host_process", self._path(socket), str(self.record_of(name)), *arguments)

    def _library_host(self) -> Child:
        files = self._path("sdk"), str(self.record_of("sdk")), self._path("sdk.position")
        return self._child("sdk", "sdk_process", *files, *NOT_CLAIMED)

    def _agent(self, number: int, home: str) -> Child:
        name = f"chaos.agent{number}"
        arguments = name, self.bus.address, home, str(self.rate // AGENTS), self._path(f"{name}.emitted")
        return self._child(name, "agent_process", *arguments)

    def _bare_agent(self, home: str) -> Child:
        name = "chaos.bare"
        return self._child(name, "bare_process", name, self.bus.address, home, self._path(f"{name}.emitted"))

    def _eventd(self) -> Child:
        config, journal = self.directory / "eventd.toml", self.directory / "journal"
        journal.mkdir(exist_ok=True)
        config.write_text(
            f"emit-rate = 1000000\nmemory-events = {self.ring}\njournal = {str(self.lasting).lower()}\n"
            f'journal-directory = "{journal}"\njournal-bytes = {JOURNAL_BYTES}\n'
        )
        ports = ["durable", "sparing", "sdk", "slow", "deaf", "witness"]
        arguments = [text for name in ports for text in ("--port", f"qmp=unix-listen:{self._path(name)}")]
        return Child(
            "eventd",
            self.directory / "eventd.log",
            "guestmux_eventd",
            *("--config", str(config), "--bus", self.bus.address, *arguments),
            options=("-W", "error"),
        )


@asynccontextmanager
async def world(directory: Path, seed: int, rate: int, ring: int = 0) -> AsyncIterator[World]:
    """A world for as long as the block lasts; nothing of it is left behind."""
    with private_bus() as bus:
        made = World(directory, bus, seed, rate, ring)
        try:
            yield made
        finally:
            for child in made.children:
                child.end(signal.SIGKILL)
