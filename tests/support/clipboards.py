"""Programs that people use clipboards with, on a real display server."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import anyio

from tests.support.desktop_agent import ASK_SECONDS, DesktopAgent

READY_SECONDS = 20
"""A busy machine takes its time."""


class Server(Protocol):
    """A display server."""

    @property
    def environment(self) -> Mapping[str, str]: ...

    def run(self, *command: str) -> subprocess.Popen[bytes]: ...


class Clipboards:
    """The clipboards of a display server, as programs and the agent see them.

    Args:
        server: the display server.
        directory: for contents.
        agent: the agent.
    """

    def __init__(self, server: Server, directory: Path, agent: DesktopAgent) -> None:
        self._server = server
        self._directory = directory
        self._agent = agent

    async def offer(
        self, data: bytes, *command: str, kind: str = "text/plain", selection: str = "clipboard"
    ) -> subprocess.Popen[bytes]:
        """Have a program put its standard input into a clipboard, and wait until it is there."""
        program = self.start(data, *command)
        await self.until_there(kind, selection=selection)
        return program

    def start(self, data: bytes, *command: str) -> subprocess.Popen[bytes]:
        """Have a program put its standard input into a clipboard."""
        file = self._directory / "content"
        file.write_bytes(data)
        file.chmod(0o644)
        return self._server.run("sh", "-c", f"exec {shlex.join(command)} < {shlex.quote(str(file))}")

    async def until_there(self, *formats: str, selection: str = "clipboard") -> dict[str, Any]:
        """Ask until these formats are there, or with none of them until nothing is."""
        while True:
            listed = await self._agent.call("session-clipboard-list", selection=selection)
            if set(formats) <= set(listed["formats"]) and (formats or not listed["formats"]):
                return dict(listed)
            await anyio.sleep(ASK_SECONDS)

    async def paste(self, *command: str) -> bytes:
        """What a program writes that takes a content from a clipboard."""
        return await paste(self._server, *command)


async def paste(server: Server, *command: str) -> bytes:
    """What a program on a display server writes that takes a content from a clipboard."""
    environment = {**os.environ, **server.environment}

    def run() -> bytes:
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, timeout=READY_SECONDS
        ).stdout

    return await anyio.to_thread.run_sync(run)
