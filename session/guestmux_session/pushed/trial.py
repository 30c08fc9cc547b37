"""A new version is tried: started, and kept only when it is registered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio
from anyio.to_thread import run_sync

from guestmux_protocol.agent_bundle import AgentManifest
from guestmux_session.errors import CommandError
from guestmux_session.pushed.registrations import Registrations
from guestmux_session.pushed.store import AgentFolder
from guestmux_session.pushed.units import ENDED, Units

FIRST_LOOK = 0.1
LONGEST_LOOK = 1.0
"""Seconds between two looks whether it is registered: eventd tells agents of no other agents, and a trial is short."""

LAST_LINES = 10
"""Lines of its log that an error repeats: the end of a traceback."""

GO_BACK_SECONDS = 70.0
"""Seconds that putting the former version back may take where nobody waits any more."""

logger = logging.getLogger(__name__)


class Trial:
    """Starts versions.

    Args:
        units: the agents' units.
        registrations: says who is registered.
    """

    def __init__(self, units: Units, registrations: Registrations) -> None:
        self._units = units
        self._registrations = registrations

    async def run(self, folder: AgentFolder, manifest: AgentManifest) -> str:
        """Replace the current version by another, which is there. Whatever ends this puts the former one back.

        Returns:
            the session that it is registered in.

        Raises:
            CommandError: it was not registered in its time; with the last lines of its log.
        """
        kept = False
        try:
            await run_sync(folder.begin_trial, manifest.version)
            session = await self.start(manifest, self._units.restart)
            await run_sync(folder.keep)
            kept = True
        finally:
            if not kept:
                with anyio.move_on_after(GO_BACK_SECONDS, shield=True):
                    await self.go_back(folder)
        return session

    async def start(self, manifest: AgentManifest, how: Callable[[str], None]) -> str:
        """Start the current version, have it started with each login, and wait until it is registered.

        Raises:
            CommandError: it was not registered in its time.
        """
        begun = time.time()
        await run_sync(how, manifest.name)
        session = await self._registered(manifest, begun)
        await run_sync(self._units.enable, manifest.name)
        return session

    async def go_back(self, folder: AgentFolder) -> None:
        """Put the version before a trial back; where there was none, remove the agent. What fails is logged.

        Where none is tried nothing is done: what is there was there before.
        """
        name = folder.name
        try:
            former = await run_sync(lambda: folder.former)
            if former is None:
                return
            if not former:
                await run_sync(self._units.disable, name)
            version = await run_sync(folder.go_back)
            if version:
                await run_sync(self._units.restart, name)
            logger.warning("agent '%s': %s", name, f"{version} runs again" if version else "removed")
        except (CommandError, OSError) as error:
            logger.error("agent '%s': what was there before a trial could not be put back: %s", name, error)

    async def _registered(self, manifest: AgentManifest, begun: float) -> str:
        name, version = manifest.name, manifest.version
        pause, others = FIRST_LOOK, set[str]()
        with anyio.move_on_after(manifest.register_seconds):
            while True:
                for found in await self._registrations.named(name):
                    if found.version == version:
                        return found.session
                    others.add(found.version)
                state = await run_sync(self._units.state, name)
                if state in ENDED:
                    raise CommandError(await self._failure(manifest, begun, f"it has ended ({state})"))
                await anyio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_LOOK)
        reason = f"it did not register within {manifest.register_seconds:g} s"
        if others:
            reason += f", but as version {', '.join(sorted(others))}"
        raise CommandError(await self._failure(manifest, begun, reason))

    async def _failure(self, manifest: AgentManifest, begun: float, reason: str) -> str:
        said = await run_sync(self._units.last_words, manifest.name, begun, LAST_LINES)
        # In one line: a host's errors have no others.
        words = "; its last words: " + " | ".join(said.splitlines()) if said else ""
        return f"'{manifest.name}' {manifest.version}: {reason}{words}"
