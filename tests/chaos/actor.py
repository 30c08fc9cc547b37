"""People at the machine: they log in, lock, fall idle, switch and leave, at random but by seed."""

from __future__ import annotations

from random import Random

import anyio

from tests.chaos.ledger import Key, Ledger, Value
from tests.chaos.logind import Logind
from tests.chaos.witness import Sight, Witness

FIRST_UID = 60_000
MAX_SESSIONS = 8
PAUSE = 0.03
"""Seconds between two acts, at most."""

SLEEPS = 0.02
"""The share of acts that is the machine's: it sleeps, and wakes up, or is to shut down."""

SYNC_SECONDS = (0.3, 1.0, 5.0)
"""For eventd to be seen to know all. While something is dead it does not, and people go on; on a busy machine it takes
seconds."""


class Actor:
    """All of them.

    Args:
        logind: where they log in.
        witness: sees what eventd knows of them.
        home: a session that nobody leaves: the agents run in it.
        seed: for what they do.
    """

    def __init__(self, logind: Logind, witness: Witness, home: str, seed: int) -> None:
        self._logind = logind
        self._ledger: Ledger = logind.ledger
        self._witness = witness
        self._home = home
        self._random = Random(f"actor {seed}")
        self._users = 0

    async def run(self) -> None:
        """Act until cancelled."""
        while True:
            for _ in range(self._random.randint(1, 12)):
                await self._act()
                await anyio.sleep(self._random.random() * PAUSE)
            await self.sync(self._random.choice(SYNC_SECONDS))

    async def sync(self, seconds: float) -> Sight | None:
        """Have eventd seen to know all that has happened; None: it was not, in this time.

        logind tells things in order, and eventd works them off in order: the last is a token. There are two, since the
        first may be seen by an eventd that is in the middle of reading everything anew; and two more where something
        broke in between, so that it may be about to do that again.
        """
        with anyio.move_on_after(seconds):
            breaks = -1
            while breaks != len(self._ledger.breaks):
                breaks = len(self._ledger.breaks)
                await self._token()
                sight = await self._token()
            self._ledger.synced(sight.epoch, sight.seq)
            return sight
        return None

    async def _token(self) -> Sight:
        self._logind.lock(self._home, locked=not self._ledger.truth.get((self._home, "locked")))
        while True:
            sight = await self._witness.next()
            if sight.truth == _visible(self._ledger.truth):
                return sight

    async def _act(self) -> None:
        others = [session for session in self._logind.sessions if session != self._home]
        if self._random.random() < SLEEPS:
            await self._random.choice([self._logind.sleep, self._logind.shut_down])()
        elif not others:
            self._login("")
        else:
            acts = [self._login, self._visit, self._logout, self._lock, self._idle, self._show]
            act = self._random.choices(acts, [6, 1, 5, 12, 8, 4])[0]
            full = act == self._login and len(others) >= MAX_SESSIONS
            (self._logout if full else act)(self._random.choice(others))

    def _user(self) -> tuple[str, int]:
        self._users += 1
        return f"user{self._users}", FIRST_UID + self._users

    def _login(self, _other: str) -> None:
        self._logind.login(*self._user(), seat=self._random.choice(["seat0", ""]))

    def _visit(self, _other: str) -> None:
        """Come and go so fast that eventd may not learn who it was."""
        self._logind.logout(self._logind.login(*self._user(), seat=""))

    def _logout(self, session: str) -> None:
        self._logind.logout(session)

    def _lock(self, session: str) -> None:
        locked = not self._ledger.truth.get((session, "locked"))
        self._logind.lock(session, locked=locked, asked=self._random.random() < 0.3)

    def _idle(self, session: str) -> None:
        self._logind.idle(session, idle=not self._ledger.truth.get((session, "idle")))

    def _show(self, session: str) -> None:
        if session in self._logind.on_seat:
            self._logind.show(session)


def _visible(truth: dict[Key, Value]) -> dict[Key, Value]:
    """The part that a snapshot shows."""
    return {key: value for key, value in truth.items() if key[1] in ("alive", "locked", "idle")}
