"""agent-install, agent-list, agent-remove, agent-logs: what hosts do with the agents that they push."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from msgspec import UNSET, structs

from guestmux_protocol.agent_bundle import (
    AgentManifest,
    BundleError,
    parse_manifest,
    signed_identity,
    version_key,
)
from guestmux_protocol.agent_commands import (
    AGENTS,
    AgentInstall,
    AgentInstalled,
    AgentInstallOpened,
    AgentList,
    AgentLogOpened,
    AgentLogs,
    AgentRemove,
    AgentRemoved,
    InstalledAgent,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.pushed.place import Place, PushPolicy
from guestmux_session.pushed.registrations import Registrations
from guestmux_session.pushed.signatures import Signatures
from guestmux_session.pushed.store import FILES, AgentFolder, agent_names
from guestmux_session.pushed.trial import Trial
from guestmux_session.pushed.units import Units
from guestmux_session.streams import ServedStream, stream_of
from guestmux_session.verbs.paths import explained
from guestmux_session.verbs.turns import Turns
from guestmux_transport.bus import Bus

MAX_INSTALLATIONS = 8
"""Agents that come at a time, each with its manifest in memory."""

STALL_SECONDS = 60.0
"""Seconds that a host may send nothing of a bundle: meanwhile nobody else can install that agent."""

MAX_LOGS = 8
"""Logs that are sent at a time, each by a process of its own."""

logger = logging.getLogger(__name__)


class PushedAgents:
    """Serves them.

    Args:
        place: whose agents they are.
        policy: what may be installed.
        signatures: knows the trusted keys.
        units: the agents' units.
        registrations: says who is registered.
    """

    def __init__(
        self,
        place: Place,
        policy: PushPolicy,
        signatures: Signatures | None = None,
        units: Units | None = None,
        registrations: Registrations | None = None,
    ) -> None:
        self._place = place
        self._policy = policy
        self._signatures = signatures or Signatures()
        self._units = units or Units(system=place.system)
        self._registrations = registrations or Registrations(system=place.system)
        self._trial = Trial(self._units, self._registrations)
        self._installations = Turns(MAX_INSTALLATIONS, "installations")
        self._logs = Turns(MAX_LOGS, "logs")

    def attach(self, bus: Bus) -> None:
        """Use this connection to the bus that eventd is on."""
        self._registrations.attach(bus)

    async def recover(self) -> None:
        """Undo what an installation left half-way, as one does that is killed."""
        names: list[str] = []
        with suppress(OSError):
            names = await run_sync(agent_names, self._place.store)
        for name in names:
            with suppress(OSError, CommandError):
                await self._recover(AgentFolder(self._place.store, name))

    async def _recover(self, folder: AgentFolder) -> None:
        if not await run_sync(lambda: folder.settled):
            async with self._locked(folder):
                pass

    @stream_of(AGENTS["agent-install"])
    async def install(self, asked: AgentInstall, stream: ServedStream) -> AgentInstalled:
        """Check who signed it, then take the files that were signed, then try it."""
        with self._installations.taken():
            return await self._install(asked, stream)

    async def _install(self, asked: AgentInstall, stream: ServedStream) -> AgentInstalled:
        text = asked.manifest.encode(errors="replace")
        signer = await run_sync(self._signer, asked, text)
        manifest = _checked(asked, text)
        folder = AgentFolder(self._place.store, manifest.name)
        async with self._locked(folder):
            former = await run_sync(lambda: folder.current)
            unchanged = await run_sync(_is_installed, folder, asked, manifest, former)
            if former is None:
                await self._check_free(manifest.name)
            result = AgentInstalled(
                name=manifest.name,
                version=manifest.version,
                session="",
                former=former or UNSET,
                signer=signer or UNSET,
                unchanged=unchanged,
            )
            wanted = 0 if unchanged else manifest.size
            await stream.accept(AgentInstallOpened(wanted=wanted, former=result.former, signer=result.signer))
            signature = asked.signature if isinstance(asked.signature, str) else ""
            if unchanged:
                await run_sync(folder.sign_anew, manifest.version, signature, signer)
                session = await self._trial.start(manifest, self._units.start)
            else:
                new = await _received(folder, manifest, stream)
                await run_sync(folder.adopt, new, manifest.version, text, signature, signer)
                session = await self._trial.run(folder, manifest)
        what = _in_words(manifest.name, manifest.version, signer)
        logger.info("%s was installed by %s", what, stream.port)
        return structs.replace(result, session=session)

    @command_of(AGENTS["agent-list"])
    async def all(self, _asked: AgentList) -> list[InstalledAgent]:
        """Tell them."""
        registered = {(found.name, found.version): found.session for found in await self._registrations.all()}
        with explained("failed to list the agents"):
            found = await run_sync(lambda: list(self._installed()))
        return [
            structs.replace(agent, session=registered.get((agent.name, agent.version), UNSET))
            for agent in found
        ]

    @command_of(AGENTS["agent-remove"])
    async def remove(self, asked: AgentRemove) -> AgentRemoved:
        """Stop it, then remove it."""
        folder = AgentFolder(self._place.store, asked.name)
        # Before it is locked: that writes a file, which stays.
        with explained(f"'{asked.name}' cannot be removed"):
            await run_sync(self._current, folder)
        async with self._locked(folder):
            version = await run_sync(self._current, folder)
            what = _in_words(asked.name, version, (await run_sync(folder.record, version)).signer)
            # A host that leaves does not leave it half removed.
            with anyio.CancelScope(shield=True):
                await run_sync(self._units.disable, asked.name)
                await run_sync(folder.remove)
        logger.info("%s was removed by a host", what)
        return AgentRemoved(version=version)

    @stream_of(AGENTS["agent-logs"])
    async def logs(self, asked: AgentLogs, stream: ServedStream) -> None:
        """Have journalctl tell it."""
        folder = AgentFolder(self._place.store, asked.name)
        with self._logs.taken(), explained("failed to read the log"):
            await run_sync(self._current, folder)
            command = self._units.log_command(asked.name, asked.lines, follow=asked.follow)
            async with _running(command, self._units.environment) as output:
                await stream.accept(AgentLogOpened(unit=self._units.unit(asked.name)))
                async for piece in output:
                    await stream.send(piece)

    async def _check_free(self, name: str) -> None:
        """Refuse a name that another agent has, of which the new one could not be told apart."""
        if others := await self._registrations.named(name):
            raise CommandError(
                f"an agent '{name}' is registered in session '{others[0].session}' that was not pushed"
            )

    def _signer(self, asked: AgentInstall, text: bytes) -> str:
        """The key that signed it, empty where none did; what the policy does not allow is refused."""
        if self._policy == "never":
            raise CommandError("the guest's policy takes no agents (pushed-agents)")
        if isinstance(asked.signature, str):
            identity = signed_identity(asked.name, self._place.user)
            return self._signatures.signer(text, asked.signature, identity)
        if self._policy == "signed":
            raise CommandError(
                "the guest's policy takes signed agents only: sign it with guestmux agent sign"
            )
        return ""

    def _current(self, folder: AgentFolder) -> str:
        version = folder.current
        if version is None:
            raise CommandError(f"no agent '{folder.name}' was pushed here")
        return version

    def _installed(self) -> Iterator[InstalledAgent]:
        for name in agent_names(self._place.store):
            folder = AgentFolder(self._place.store, name)
            version = folder.current
            if version is not None:
                signer = folder.record(version).signer or UNSET
                yield InstalledAgent(name=name, version=version, unit=self._units.state(name), signer=signer)

    @asynccontextmanager
    async def _locked(self, folder: AgentFolder) -> AsyncIterator[None]:
        """Be the only one at it, with what another one left half-way undone."""
        with ExitStack() as stack, explained(f"'{folder.name}' cannot be changed"):
            await run_sync(stack.enter_context, folder.locked())
            await self._trial.go_back(folder)
            await run_sync(folder.sweep)
            yield


async def _received(folder: AgentFolder, manifest: AgentManifest, stream: ServedStream) -> Path:
    """Take the files; gives the new folder that has them, whole and on the disk."""
    # Imported here: hardly any agent ever needs it, and its memory, OpenSSL's for one, is counted.
    from guestmux_session.pushed.unpacker import Unpacker

    new = await run_sync(folder.begin)
    unpacker = Unpacker(new / FILES, manifest)
    whole = False
    try:
        while data := await _next(stream):
            await run_sync(unpacker.write, data)
        await run_sync(unpacker.finish)
        whole = True
    finally:
        unpacker.close()
        if not whole:
            with anyio.CancelScope(shield=True):
                await run_sync(folder.sweep)
    return new


async def _next(stream: ServedStream) -> bytes:
    """The host's next bytes; nothing where that was all."""
    with anyio.move_on_after(STALL_SECONDS):
        try:
            return await stream.receive()
        except anyio.EndOfStream:
            return b""
    raise CommandError(f"nothing came for {STALL_SECONDS:g} s")


def _in_words(name: str, version: str, signer: str) -> str:
    return f"agent '{name}' {version}, {f'signed by {signer}' if signer else 'not signed'},"


def _checked(asked: AgentInstall, text: bytes) -> AgentManifest:
    try:
        manifest = parse_manifest(text)
    except BundleError as error:
        raise CommandError(str(error)) from error
    if manifest.name != asked.name:
        raise CommandError(f"the manifest is of '{manifest.name}', and not of '{asked.name}'")
    return manifest


def _is_installed(
    folder: AgentFolder, asked: AgentInstall, manifest: AgentManifest, former: str | None
) -> bool:
    """Whether this very bundle is; what must not replace the version that is there is refused."""
    if former is None:
        if asked.upgrade:
            raise CommandError(f"no agent '{manifest.name}' was pushed here that could be upgraded")
        return False
    if former == manifest.version:
        if folder.manifest_text(former) == asked.manifest.encode():
            return True
        raise CommandError(
            f"another '{manifest.name}' {former} is installed: what has changed needs a new version"
        )
    if version_key(manifest.version) <= version_key(former) and not asked.force:
        raise CommandError(
            f"'{manifest.name}' {former} is installed, which is no older than {manifest.version}; "
            f"'force' replaces it all the same"
        )
    return False


@asynccontextmanager
async def _running(command: list[str], environment: dict[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
    """What a program writes, which is ended with the block."""
    process = await anyio.open_process(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environment
    )
    try:
        assert process.stdout is not None
        yield process.stdout
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
