"""Agents that this host pushes into a guest."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
from anyio.to_thread import run_sync

from guestmux.agent_bundle import Bundle, read_bundle
from guestmux.calling import Calling, read_as
from guestmux.copying import PIECE, CopyWatcher, LocalFileError
from guestmux.errors import CallTimeout, CommandFailed, StreamFailed
from guestmux.guest_stream import GuestStream
from guestmux_protocol.agent_commands import (
    AgentInstalled,
    AgentInstallOpened,
    AgentRemoved,
    InstalledAgent,
)

INSTALL = "agent-install"

START_SECONDS = 180.0
"""Seconds that the guest may take to stop and start units, beside what the agent has to register: two of systemd's
default timeouts."""


class AgentCalls(Calling):
    """What is about pushed agents.

    `session` is a logind id, `active` or `user:NAME`, whose user has the agents; without one they are the system's.
    """

    async def push_agent(
        self,
        directory: str | os.PathLike[str],
        *,
        session: str | None = None,
        force: bool = False,
        upgrade: bool = False,
        watcher: CopyWatcher | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> AgentInstalled:
        """Install an agent, or another version of it, and wait until it is registered.

        Where it does not register the guest puts the version before it back, or removes it.

        Args:
            directory: with `agent.toml` and what it names; docs/agents.md tells how to write and sign it.
            session: whose agent it is to be.
            force: also where a newer version is installed.
            upgrade: only where a version is installed.
            watcher: is told how much was sent.
            wait: see `lock`.
            timeout: seconds until the guest has to take it; it runs from then on for as long as the agent may take to
                register, and `START_SECONDS`.

        Raises:
            LocalFileError, BundleError: the directory is none that can be pushed.
            CommandFailed: the guest refuses it, or the agent did not register; with the end of its log.
            NoStreams: the port carries no streams, without which there is no pushing.
            GuestmuxError: as for `stream`.
        """
        bundle = await run_sync(read_bundle, directory)
        manifest = bundle.manifest
        asked = {
            "name": manifest.name,
            "manifest": bundle.text.decode(),
            "force": force,
            "upgrade": upgrade,
            **({"signature": bundle.signature} if bundle.signature else {}),
        }
        async with await self.stream(INSTALL, asked, session=session, wait=wait, timeout=timeout) as stream:
            opened = read_as(AgentInstallOpened, INSTALL, stream.reply)
            try:
                if opened.wanted:
                    await _send(bundle, stream, watcher or CopyWatcher())
                await stream.send_eof()
                return await _result(stream, manifest.register_seconds + START_SECONDS)
            except StreamFailed as error:
                # What the guest says of the agent is an answer, and no fault of the stream's.
                raise CommandFailed(error.error_class, error.desc) from error

    async def pushed_agents(
        self, session: str | None = None, *, wait: float | None = None, timeout: float | None = None
    ) -> list[InstalledAgent]:
        """The agents that were pushed for a session's user, or for the system."""
        value = await self.call("agent-list", session=session, wait=wait, timeout=timeout)
        return read_as(list[InstalledAgent], "agent-list", value)

    async def remove_agent(
        self,
        name: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> AgentRemoved:
        """Stop a pushed agent, and remove it."""
        value = await self.call("agent-remove", name=name, session=session, wait=wait, timeout=timeout)
        return read_as(AgentRemoved, "agent-remove", value)

    async def agent_log(
        self,
        name: str,
        *,
        session: str | None = None,
        lines: int = 100,
        follow: bool = False,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> GuestStream:
        """What a pushed agent has written, as a stream of text; to be closed.

        Args:
            name: the agent's.
            session: whose.
            lines: how many of the last.
            follow: go on with what it writes from now on.
            wait: see `lock`.
            timeout: seconds until the guest has to begin.
        """
        asked = {"name": name, "lines": lines, "follow": follow}
        stream = await self.stream("agent-logs", asked, session=session, wait=wait, timeout=timeout)
        # There is nothing to send: without this the end would be one given up, in the guest's audit as well.
        await stream.send_eof()
        return stream


async def _send(bundle: Bundle, stream: GuestStream, watcher: CopyWatcher) -> None:
    name = bundle.manifest.name
    watcher.began(name, bundle.manifest.size)
    try:
        async with aclosing(_contents(bundle)) as pieces:
            async for piece in pieces:
                await stream.send(piece)
                watcher.moved(name, len(piece))
    finally:
        watcher.ended(name)


async def _contents(bundle: Bundle) -> AsyncGenerator[bytes, None]:
    """All files, one behind the other."""
    for file in bundle.manifest.files:
        path = bundle.directory / file.path
        try:
            async with await anyio.open_file(path, "rb") as opened:
                while piece := await opened.read(PIECE):
                    yield piece
        except OSError as error:
            raise LocalFileError(f"{path}: {error.strerror or error}") from error


async def _result(stream: GuestStream, seconds: float) -> AgentInstalled:
    with anyio.move_on_after(seconds):
        return read_as(AgentInstalled, INSTALL, await stream.result())
    raise CallTimeout(f"the guest did not say within {seconds:g} s what became of the agent")
