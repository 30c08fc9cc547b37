"""A host that asks eventd again and again how things stand: each answer is stamped with the latest event's number."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import anyio

from tests.chaos.ledger import Key, Value
from tests.support.host import RawHost

ASK_SECONDS = 0.05
NOBODYS = "WITNESS"
"""A pattern that no event matches."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What eventd said of itself.

    Attributes:
        asked: when it was asked, in seconds since the epoch.
        told: when it answered.
        epoch: its run.
        seq: its latest event.
        truth: what it knew of sessions, as the ledger has it.
        agents: how many were registered.
    """

    asked: float
    told: float
    epoch: str
    seq: int
    truth: dict[Key, Value]
    agents: int = 0


class Witness:
    """The host.

    Args:
        path: of eventd's socket.

    Attributes:
        sights: what was seen, the oldest first.
        epochs: the runs that were seen, the oldest first.
    """

    def __init__(self, path: str) -> None:
        self.sights: list[Sight] = []
        self.epochs: list[str] = []
        self._path = path
        self._seen = anyio.Event()

    async def run(self) -> None:
        """Ask, whenever there is an eventd."""
        while True:
            try:
                host = await RawHost.connect(self._path)
            except OSError:
                await anyio.sleep(ASK_SECONDS)
                continue
            try:
                await self._watch(host)
            except (OSError, EOFError):
                await anyio.sleep(ASK_SECONDS)
            finally:
                host.close()

    async def next(self) -> Sight:
        """The next answer to a question that is asked from now on."""
        now = time.time()
        while not self.sights or self.sights[-1].asked < now:
            await self._seen.wait()
        return self.sights[-1]

    async def _watch(self, host: RawHost) -> None:
        await host.negotiate()
        while True:
            asked = time.time()
            reply = await host.ask("guest-event-subscribe", events=[NOBODYS])
            self._saw(asked, reply["return"])
            await anyio.sleep(ASK_SECONDS)

    def _saw(self, asked: float, reply: dict[str, Any]) -> None:
        sessions = reply["snapshot"]["sessions"]
        agents = sum(len(session["agents"]) for session in sessions)
        sight = Sight(asked, time.time(), reply["epoch"], reply["seq"], _truth(sessions), agents)
        self.sights.append(sight)
        if reply["epoch"] not in self.epochs:
            self.epochs.append(reply["epoch"])
        self._seen.set()
        self._seen = anyio.Event()


def _truth(sessions: list[dict[str, Any]]) -> dict[Key, Value]:
    truth: dict[Key, Value] = {}
    for session in sessions:
        truth[session["session"], "alive"] = True
        for member in ("locked", "idle"):
            if session.get(member):
                truth[session["session"], member] = True
    return truth
