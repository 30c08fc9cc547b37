"""A guest with an agent's real processes behind the stand-in's wire, without eventd and a bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from guestmux_protocol.messages import Request
from guestmux_session.declarations import commands_of
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import SystemSurroundings
from tests.support.standin_guest import StandInGuest
from tests.support.verbs import Verbs, end_all


class VerbGuest(StandInGuest):
    """A guest that runs processes.

    Args:
        path: its socket.
        dialect: `qga`, where commands run one after the other, or `qmp`.
    """

    def __init__(self, path: Path, dialect: str) -> None:
        super().__init__(path, dialect)
        self.processes = Processes(SystemSurroundings())
        self._verbs = Verbs(self.processes)
        self._served = set(commands_of(self.processes))
        self._in_order = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def _answer(self, request: Request) -> None:
        if request.command not in self._served or request.command in self.commands:
            return super()._answer(request)
        self.requests[request.command].append(request)
        task = asyncio.create_task(self._run(request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return None

    async def _run(self, request: Request) -> None:
        if request.oob:
            return await self._run_now(request)
        async with self._in_order:
            return await self._run_now(request)

    async def _run_now(self, request: Request) -> None:
        arguments = {name: value for name, value in request.arguments.items() if name != "session"}
        answer = await self._verbs.call(request.command, **arguments)
        if self._writer is None:
            return
        if "error" in answer:
            self.refuse(request, answer["error"]["class"], answer["error"]["desc"])
        else:
            self.reply(request, answer["return"])

    async def end(self) -> None:
        """End every process."""
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await end_all(self.processes)


@asynccontextmanager
async def verb_guest(directory: Path, dialect: str = "qmp") -> AsyncIterator[VerbGuest]:
    """Run one for as long as the block lasts."""
    guest = VerbGuest(directory / "guest", dialect)
    await guest.start()
    try:
        yield guest
    finally:
        await guest.stop()
        await guest.end()
