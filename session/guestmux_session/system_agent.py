"""The system agent: the SDK with the verbs that need root."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio.to_thread import run_sync

from guestmux_protocol.version import VERSION
from guestmux_session.agent import SYSTEM_BUS, Agent
from guestmux_session.errors import CommandError
from guestmux_session.process import run_process
from guestmux_session.pushed.pushed_agents import PushedAgents
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.sets import close_all, command_names, forget_all
from guestmux_transport.bus import Bus

CLAIM = "system"
"""The session that it claims, which eventd gives to root alone."""

ABANDONED_SECONDS = 30.0
"""How long a freeze outlives eventd: some ten times as long as systemd takes to start it again, where it can. What
systemd does for eventd's sandbox waits for a frozen root, and nobody else could bring the host's thaw."""

logger = logging.getLogger(__name__)


class SystemAgent(Agent):
    """guestmux-session --system.

    Args:
        parts: what it serves, of which `Freeze` has a say in when it stops.
        permits: whether a command is served, by its name.
        bus: the system bus's address, or "system".
        patience: seconds that file systems stay frozen without an eventd.
    """

    name = "guestmux-system"
    version = VERSION

    def __init__(
        self,
        parts: list[object],
        *,
        permits: Callable[[str], bool],
        bus: str = SYSTEM_BUS,
        patience: float = ABANDONED_SECONDS,
    ) -> None:
        super().__init__(bus=bus, session=CLAIM)
        self._parts = parts
        self._freezes = [part for part in parts if isinstance(part, Freeze)]
        self._pushed = [part for part in parts if isinstance(part, PushedAgents)]
        self._patience = patience
        self._came = anyio.Event()
        self._went = anyio.Event()
        self._went.set()
        self._refused = sorted(name for name in command_names(parts) if not permits(name))
        for part in parts:
            self.provide(part, only=permits)

    async def run(self) -> None:
        """Serve until cancelled."""
        if self._refused:
            logger.info("switched off by the configuration: %s", ", ".join(self._refused))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end_abandoned_freezes)
                for part in self._pushed:
                    tasks.start_soon(part.recover)
                await super().run()
        finally:
            close_all(self._parts)

    async def connected(self, bus: Bus) -> None:
        """There is a connection to the bus that eventd is on."""
        for part in self._pushed:
            part.attach(bus)

    async def registered(self, session: str) -> None:
        """An eventd is there, and can bring the host's thaw."""
        del session
        self._went = anyio.Event()
        self._came.set()

    async def released(self, reason: str) -> None:
        """What hosts left open, the next eventd knows nothing of."""
        del reason
        forget_all(self._parts)
        self._came = anyio.Event()
        self._went.set()

    def main(self) -> None:
        """Run until SIGTERM or SIGINT; while file systems are frozen, until the thaw or a second of them."""
        run_process(self.run, self._news, hold=lambda: any(freeze.frozen for freeze in self._freezes))

    async def _end_abandoned_freezes(self) -> None:
        while True:
            await self._went.wait()
            with anyio.move_on_after(self._patience):
                await self._came.wait()
            if not self._came.is_set():
                await self._thaw()

    async def _thaw(self) -> None:
        for freeze in self._freezes:
            if not freeze.frozen:
                continue
            try:
                await run_sync(freeze.end)
            except CommandError as error:
                logger.error("%s", error)
            logger.error("thawed: eventd was away for %g s while file systems were frozen", self._patience)
