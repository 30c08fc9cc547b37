"""guest-exec and what belongs to it: the processes that hosts started, by pid."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.processes import (
    GuestExec,
    GuestExecAttach,
    GuestExecClose,
    GuestExecCommand,
    GuestExecEnd,
    GuestExecLive,
    GuestExecOutput,
    GuestExecRead,
    GuestExecResize,
    GuestExecSignal,
    GuestExecStatus,
    GuestExecStatusCommand,
    GuestExecWrite,
    GuestExecWritten,
)
from guestmux_protocol.guest.table import GUEST
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream, stream_of
from guestmux_session.verbs.attach import attach_stderr, attach_stdio
from guestmux_session.verbs.base64_text import decoded
from guestmux_session.verbs.child import signal_number
from guestmux_session.verbs.live_process import LiveProcess, spawn_piped, spawn_with_terminal
from guestmux_session.verbs.recorded_process import Mode, RecordedProcess, spawn_recorded
from guestmux_session.verbs.spawn import Program, variables
from guestmux_session.verbs.surroundings import Surroundings

MAX_PROCESSES = 64
"""Processes at a time. Each may hold 32 MiB of output; one that ended and was not asked for makes room."""

Process = RecordedProcess | LiveProcess


class Processes:
    """Processes by the kernel's number. Everything runs on the event loop, but for the start, which may need a disk.

    Args:
        surroundings: where they live.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._known: dict[int, Process] = {}
        # Nobody asks for them any more, but somebody has to read their output and reap them.
        self._forgotten: set[Process] = set()

    def __repr__(self) -> str:
        return f"<Processes {len(self._known)} of {MAX_PROCESSES}>"

    def close_all(self) -> None:
        """The agent is stopping: live processes are hung up, the others go on."""
        for process in [*self._known.values(), *self._forgotten]:
            process.close()
            process.child.let_go()
        self._known.clear()
        self._forgotten.clear()

    def forget_all(self) -> None:
        """Nobody knows the numbers any more: as guest-exec-close for each."""
        for pid in [*self._known]:
            self._forget(pid)

    @command_of(GUEST["guest-exec"])
    async def execute(self, asked: GuestExecCommand) -> GuestExec:
        """Start one that is asked about later."""
        given = b"" if asked.input_data is UNSET else decoded(asked.input_data)
        program = await self._program(asked.path, asked.arg, asked.env)
        mode = _mode(asked.capture_output)

        async def start() -> Process:
            return RecordedProcess(await asyncio.to_thread(spawn_recorded, program, given, mode))

        return await self._add(start, held=program.held)

    @command_of(GUEST["guest-exec-status"])
    async def status(self, asked: GuestExecStatusCommand) -> GuestExecStatus:
        """Tell how one stands, and forget it once it has ended."""
        process = self._recorded(asked.pid)
        status = process.status()
        if status.exited:
            del self._known[asked.pid]
        return status

    @command_of(GUEST["guest-exec-live"])
    async def live(self, asked: GuestExecLive) -> GuestExec:
        """Start one that is read while it runs."""
        program = await self._program(asked.path, asked.arg, asked.env, asked.directory)
        terminal = asked.terminal
        if terminal is not UNSET:
            given = variables([] if asked.env is UNSET else asked.env)
            program.environment["TERM"] = given.get("TERM", terminal.type)

        async def start() -> Process:
            if terminal is UNSET:
                return LiveProcess(await asyncio.to_thread(spawn_piped, program))
            return LiveProcess(await asyncio.to_thread(spawn_with_terminal, program, terminal))

        return await self._add(start, held=program.held)

    @command_of(GUEST["guest-exec-read"])
    async def read(self, asked: GuestExecRead) -> GuestExecOutput:
        """Read what a live one wrote."""
        return await self._live(asked.pid).read(asked.max_bytes, asked.linger)

    @command_of(GUEST["guest-exec-write"])
    async def write(self, asked: GuestExecWrite) -> GuestExecWritten:
        """Write to a live one."""
        process = self._live(asked.pid)
        process.check_input_free()
        count = await process.write(decoded(asked.buf_b64), end=asked.eof)
        return GuestExecWritten(count=count)

    @stream_of(GUEST["guest-exec-attach"])
    async def attach(self, asked: GuestExecAttach, stream: ServedStream) -> GuestExecEnd | None:
        """Be a live one's output and input."""
        process = self._live(asked.pid)
        if asked.channel == "stdio":
            return await attach_stdio(process, stream)
        await attach_stderr(process, stream)
        return None

    @command_of(GUEST["guest-exec-signal"])
    async def signal(self, asked: GuestExecSignal) -> None:
        """Send a signal."""
        self._find(asked.pid).child.send(signal_number(asked.signal))

    @command_of(GUEST["guest-exec-resize"])
    async def resize(self, asked: GuestExecResize) -> None:
        """Give a live one's terminal another size."""
        self._live(asked.pid).resize(asked.rows, asked.columns)

    @command_of(GUEST["guest-exec-close"])
    async def close(self, asked: GuestExecClose) -> None:
        """Forget one."""
        self._find(asked.pid)
        self._forget(asked.pid)

    async def _program(
        self, path: str, arguments: list[str], env: list[str] | UnsetType, directory: str | UnsetType = UNSET
    ) -> Program:
        environment = await self._surroundings.environment(None if env is UNSET else variables(env))
        start = self._surroundings.directory if directory is UNSET else directory
        return Program(path, arguments, environment, start, held=self._surroundings.adopts)

    async def _add(self, start: Callable[[], Coroutine[Any, Any, Process]], *, held: bool) -> GuestExec:
        """Start a process and know it from then on.

        A caller that goes away meanwhile cannot stop it, and never learns its number: it is forgotten.
        """
        self._make_room()
        starting = asyncio.ensure_future(self._started(start, held))
        try:
            return GuestExec(pid=await asyncio.shield(starting))
        except asyncio.CancelledError:
            starting.add_done_callback(self._unwanted)
            raise

    async def _started(self, start: Callable[[], Coroutine[Any, Any, Process]], held: bool) -> int:
        try:
            process = await start()
        except OSError as error:
            raise CommandError(f"cannot start a process: {os.strerror(error.errno or 0)}") from error
        pid = process.child.pid
        if pid in self._known:
            # The kernel gave the number of one that ended to this one.
            self._forget(pid)
        self._known[pid] = process
        try:
            await self._surroundings.adopt(pid)
        finally:
            if held:
                process.child.go_on()
        return pid

    def _unwanted(self, starting: asyncio.Task[int]) -> None:
        if not starting.cancelled() and starting.exception() is None:
            self._forget(starting.result())

    def _make_room(self) -> None:
        self._forgotten = {process for process in self._forgotten if not process.ended}
        if len(self._known) + len(self._forgotten) < MAX_PROCESSES:
            return
        over = next((pid for pid, process in self._known.items() if process.ended), None)
        if over is None:
            raise CommandError(f"{MAX_PROCESSES} processes are running; wait for one, or end one")
        self._forget(over)

    def _forget(self, pid: int) -> None:
        process = self._known.pop(pid)
        if isinstance(process, RecordedProcess):
            process.discard()
        else:
            process.close()
        if not process.ended:
            self._forgotten.add(process)

    def _recorded(self, pid: int) -> RecordedProcess:
        process = self._find(pid)
        if not isinstance(process, RecordedProcess):
            raise CommandError(f"PID {pid} was not started by guest-exec; ask with guest-exec-read")
        return process

    def _live(self, pid: int) -> LiveProcess:
        process = self._find(pid)
        if not isinstance(process, LiveProcess):
            raise CommandError(f"PID {pid} was not started by guest-exec-live")
        return process

    def _find(self, pid: int) -> Process:
        process = self._known.get(pid)
        if process is None:
            raise CommandError(f"PID {pid} does not exist")
        return process


def _mode(capture: bool | Mode) -> Mode:
    if isinstance(capture, bool):
        return "separated" if capture else "none"
    return capture
