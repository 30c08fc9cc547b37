"""Processes in the guest."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from guestmux.base64_bytes import encode
from guestmux.calling import Calling, read_as
from guestmux.errors import CommandDisabled, CommandNotFound, GuestmuxError, NoStreams, RemoteError
from guestmux.process import Completed, Process, TerminalSize
from guestmux.process_attached import attach
from guestmux.process_live import LiveProcess
from guestmux.process_polled import PolledProcess
from guestmux.process_watched import WatchedProcess
from guestmux_protocol.guest.processes import GuestExec

logger = logging.getLogger(__name__)


class ProcessCalls(Calling):
    """Starts processes. Without a session the system agent does it, with one that session's agent, as its user."""

    async def exec(
        self,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        terminal: TerminalSize | None = None,
        live: bool | None = None,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> Process:
        """Start a process: `async with await guest.exec(["ls", "-l"]) as process`.

        Args:
            command: a path, or a name that the guest looks for in PATH; and its arguments. No shell reads it.
            stdin: its whole input. None: what is sent to its `stdin`, or nothing where it is not live.
            env: variables. In a session they add to the session's environment; elsewhere they are all there is.
            cwd: the directory that it starts in; the user's home in a session by default.
            terminal: give it a terminal instead of pipes.
            live: True: only a process that is watched while it runs. False: only guest-exec, as a stock qemu-ga has
                it. None: live where the guest can, else not; what needs it (`cwd`, `terminal`) is then refused.
            session: whose agent starts it: a logind id, `active` or `user:NAME`.
            wait: seconds to wait for that agent to register.
            timeout: seconds to start it.

        Raises:
            CommandNotFound: the guest cannot do it.
            CommandFailed: it could not be started; the text says why.
        """
        routing = {"session": session, "wait": wait, "timeout": timeout}
        common = _start(command, env)
        if live is False:
            return await self._exec_polled(common, stdin, routing)
        try:
            return await self._exec_live(common, stdin, cwd, terminal, routing)
        except CommandNotFound as error:
            if live or cwd is not None or terminal is not None or isinstance(error, CommandDisabled):
                raise
        return await self._exec_polled(common, stdin, routing)

    async def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run a process to its end, and give all that it wrote; arguments as for `exec`."""
        process = await self.exec(
            command, stdin=stdin, env=env, cwd=cwd, session=session, wait=wait, timeout=timeout
        )
        async with process:
            return await process.communicate()

    async def _exec_live(
        self,
        common: dict[str, Any],
        given: bytes | None,
        cwd: str | None,
        terminal: TerminalSize | None,
        routing: dict[str, Any],
    ) -> Process:
        arguments = dict(common)
        if cwd is not None:
            arguments["directory"] = cwd
        if terminal is not None:
            size = {"rows": terminal.rows, "columns": terminal.columns, "type": terminal.type}
            arguments["terminal"] = size
        value = await self.call("guest-exec-live", arguments, **routing)
        pid = read_as(GuestExec, "guest-exec-live", value).pid
        process = await self._watch(pid, terminal=terminal is not None, timeout=routing["timeout"])
        if given is not None:
            process.send_input(given)
        return process

    async def _watch(self, pid: int, *, terminal: bool, timeout: float | None) -> WatchedProcess:
        """By streams where the port and the process's agent have them, else by calls."""
        if self.has_streams:
            try:
                return await attach(self, pid, terminal=terminal, timeout=timeout)
            except (NoStreams, CommandNotFound) as error:
                logger.debug("process %s: %s", pid, error)
            except (GuestmuxError, RemoteError):
                await LiveProcess(self, pid).aclose()
                raise
        return LiveProcess(self, pid)

    async def _exec_polled(
        self, common: dict[str, Any], given: bytes | None, routing: dict[str, Any]
    ) -> Process:
        arguments: dict[str, Any] = {**common, "capture-output": True}
        if given:
            arguments["input-data"] = encode(given)
        value = await self.call("guest-exec", arguments, **routing)
        return PolledProcess(self, read_as(GuestExec, "guest-exec", value).pid)


def _start(command: Sequence[str], env: Mapping[str, str] | None) -> dict[str, Any]:
    path, *arguments = command
    start: dict[str, Any] = {"path": path, "arg": arguments}
    if env is not None:
        start["env"] = [f"{name}={value}" for name, value in env.items()]
    return start
