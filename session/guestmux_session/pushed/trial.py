"""A new version is tried: started, and kept only when it is registered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio
from anyio.to_thread import run_sync

from guestmux_protocol.agent_bundle import AgentManifest
from guestmux_session.errors import CommandError
from guestmux_session.pushed.registrations import Registration, Registrations
from guestmux_session.pushed.store import AgentFolder
from guestmux_session.pushed.units import ENDED, Units

FIRST_LOOK = 0.1
LONGEST_LOOK = 1.0
"""Seconds between two looks whether it is registered: eventd tells agents of no other agents, and a trial is short."""

LAST_LINES = 10
"""Lines of its log that an error repeats: the end of a traceback."""

MAX_WORDS = 700
"""Characters of these lines, the last: an error has a thousand."""

GO_BACK_SECONDS = 70.0
"""Seconds that putting the former version back may take where nobody waits any more."""

logger = logging.getLogger(__name__)


class NotRegisteredInTime(CommandError):
    """A version was started, and is of no use.

    Args:
        reason: why.
        words: what it said last, in lines.
    """

    def __init__(self, reason: str, words: str) -> None:
        # In one line: a host's errors have no others.
        said = f"; its last words: {' | '.join(words.splitlines())}" if words else ""
        super().__init__(f"{reason}{said}")
        self.reason = reason
        self.words = words


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
            CommandError: it was not registered in its time; with what runs now, and the last lines of its log.
        """
        kept, failure, back = False, None, ""
        try:
            await run_sync(folder.begin_trial, manifest.version)
            # Not in one with the start: what the former one says at its end is none of the new one's words.
            await run_sync(self._units.stop, manifest.name)
            session = await self.start(manifest, self._units.start)
            await run_sync(folder.keep)
            kept = True
        except CommandError as error:
            failure = error
        finally:
            if not kept:
                with anyio.move_on_after(GO_BACK_SECONDS, shield=True):
                    back = await self.go_back(folder)
        if failure:
            raise _with(failure, back) from failure
        return session

    async def start(self, manifest: AgentManifest, how: Callable[[str], None]) -> str:
        """Start the current version, have it started with each login, and wait until it is registered.

        Raises:
            CommandError: it was not registered in its time.
        """
        begun, there = time.time(), set(await self._registrations.all())
        await run_sync(how, manifest.name)
        session = await self._registered(manifest, begun, there)
        await run_sync(self._units.enable, manifest.name)
        return session

    async def go_back(self, folder: AgentFolder) -> str:
        """Put the version before a trial back; where there was none, remove the agent. What fails is logged.

        Where none is tried nothing is done: what is there was there before.

        Returns:
            what was done, for who asked for the trial.
        """
        name = folder.name
        try:
            former = await run_sync(lambda: folder.former)
            if former is None:
                return ""
            if await run_sync(folder.put_back):
                await self._restart(folder)
            else:
                await run_sync(self._units.disable, name)
                await run_sync(folder.remove)
                former = ""
        except (CommandError, OSError) as error:
            logger.error("agent '%s': what was there before a trial could not be put back: %s", name, error)
            return f"what was there before could not be put back: {error}"
        done = f"{former} runs again" if former else "it was removed again"
        logger.warning("agent '%s': %s", name, done)
        return done

    async def _restart(self, folder: AgentFolder) -> None:
        """Start the version that was put back; the trial is over when it was tried, and not when it is only to be."""
        try:
            await run_sync(self._units.restart, folder.name)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(folder.keep)

    async def _registered(self, manifest: AgentManifest, begun: float, there: set[Registration]) -> str:
        name, version = manifest.name, manifest.version
        pause, others = FIRST_LOOK, set[Registration]()
        with anyio.move_on_after(manifest.register_seconds):
            while True:
                others |= (found := set(await self._registrations.all())) - there
                for one in found:
                    if (one.name, one.version) == (name, version):
                        return one.session
                if wrong := sorted(one.version for one in others if one.name == name):
                    raise await self._failure(manifest, begun, f"it registered as version {wrong[0]}")
                state = await run_sync(self._units.state, name)
                if state in ENDED:
                    raise await self._failure(manifest, begun, f"it has ended ({state})")
                await anyio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_LOOK)
        reason = f"it did not register within {manifest.register_seconds:g} s{_instead(others)}"
        raise await self._failure(manifest, begun, reason)

    async def _failure(self, manifest: AgentManifest, begun: float, reason: str) -> NotRegisteredInTime:
        said = await run_sync(self._units.last_words, manifest.name, begun, LAST_LINES)
        return NotRegisteredInTime(f"'{manifest.name}' {manifest.version}: {reason}", said[-MAX_WORDS:])


def _instead(others: set[Registration]) -> str:
    """What registered meanwhile: the agent perhaps, by another name than its manifest's."""
    if names := sorted(f"'{one.name}' {one.version}" for one in others):
        return f"; {', '.join(names)} did meanwhile"
    return ""


def _with(failure: CommandError, back: str) -> CommandError:
    """The same, with what was done about it. The agent's words stay last: they are cut where all is too long."""
    reason, words = (
        (failure.reason, failure.words) if isinstance(failure, NotRegisteredInTime) else (failure.desc, "")
    )
    return NotRegisteredInTime(f"{reason}; {back}" if back else reason, words)
