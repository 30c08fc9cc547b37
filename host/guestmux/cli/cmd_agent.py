"""`guestmux agent`: agents that are deployed into the guest from here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click
from msgspec import UnsetType, to_builtins

from guestmux.agent_bundle import sign_bundle
from guestmux.cli.completing import complete_pushed_agents, complete_sessions
from guestmux.cli.copy_display import copy_display
from guestmux.cli.options import as_json, call_timeout, connecting, talk, wait_agent
from guestmux.cli.output import clean, say, say_json, say_table
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.errors import CommandFailed, CommandNotFound
from guestmux.guest import Guest
from guestmux_protocol.agent_commands import MAX_LINES, AgentInstalled, InstalledAgent

SYSTEM = "system"

COLUMNS = ("NAME", "VERSION", "FOR", "UNIT", "REGISTERED", "SIGNER")

Function = TypeVar("Function", bound=Callable[..., Any])

Found = list[tuple[str, InstalledAgent]]
"""For whom, and what."""


def _whose(function: Function) -> Function:
    """Add the options that say whose agents it is about."""
    session = click.option(
        "-s",
        "--session",
        shell_complete=complete_sessions,
        help="That session's user's: an id as c2, 'active', or user:NAME.",
    )
    system = click.option("--system", is_flag=True, help="The system's, as root.")
    return session(system(wait_agent(call_timeout(function))))


def _chosen(session: str | None, system: bool) -> str | None:
    if (session is None) is not system:
        raise click.UsageError("whose? give --session or --system")
    return session


_directory = click.argument("directory", type=click.Path(exists=True, file_okay=False))
_name = click.argument("name", shell_complete=complete_pushed_agents)
_force = click.option("--force", is_flag=True, help="Also where a newer version is installed.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


@click.group()
@connecting
def agent() -> None:
    """Deploy agents into the guest: for a session's user, or for the system.

    An agent is a directory with agent.toml and what that names. The guest installs what a key signed that it trusts,
    starts it, and keeps it if it registers.
    """


@agent.command("sign", epilog=examples("guestmux agent sign clock --key ~/.ssh/agents"))
@_directory
@click.option(
    "-k",
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="An SSH key: a private one, or a public one whose private half ssh-agent has.",
)
def sign(directory: str, key: str) -> None:
    """Write DIRECTORY's MANIFEST, and have ssh-keygen sign it.

    It needs no guest. A guest takes it whose /etc/guestmux/agent-signers has the key.
    """
    manifest = sign_bundle(directory, key).manifest
    say(f"{manifest.name} {manifest.version}: {len(manifest.files)} files, signed")


@agent.command(
    "push",
    epilog=paragraphs(
        SESSIONS,
        examples("guestmux agent push clock -s user:alice", "guestmux agent push inventory --system"),
    ),
)
@_directory
@_whose
@_force
@_quiet
@as_json
@connecting
def push(directory: str, **options: Any) -> None:
    """Install the agent in DIRECTORY, or upgrade to it, and wait until it is registered.

    One that does not register in its time is removed again, or the version before it put back; the error says which,
    and has the end of its log.
    """
    _push(directory, upgrade=False, **options)


@agent.command("upgrade", epilog=paragraphs(SESSIONS, examples("guestmux agent upgrade clock -s user:alice")))
@_directory
@_whose
@_force
@_quiet
@as_json
@connecting
def upgrade(directory: str, **options: Any) -> None:
    """Do what push does, where a version of the agent is installed, and nowhere else."""
    _push(directory, upgrade=True, **options)


def _push(
    directory: str,
    *,
    upgrade: bool,
    session: str | None,
    system: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    whose = _chosen(session, system)

    async def work(guest: Guest) -> None:
        with copy_display(to_guest=True, many=False, quiet=quiet) as display:
            installed = await guest.push_agent(
                Path(directory),
                session=whose,
                force=force,
                upgrade=upgrade,
                watcher=display,
                wait=wait_agent,
                timeout=timeout,
            )
        if as_json:
            say_json(installed)
        elif not quiet:
            say(clean(_told(installed)))

    talk(work)


def _told(installed: AgentInstalled) -> str:
    if installed.unchanged:
        before = "as before"
    else:
        before = "new" if isinstance(installed.former, UnsetType) else f"was {installed.former}"
    return f"{installed.name} {installed.version} ({before}) is registered in {installed.session}"


@agent.command("list", epilog=SESSIONS)
@_whose
@as_json
@connecting
def list_agents(
    session: str | None, system: bool, as_json: bool, wait_agent: float | None, timeout: float | None
) -> None:
    """List what was pushed: for one session's user, for the system, or for everybody who is there."""

    async def work(guest: Guest) -> None:
        if session is None and not system:
            found = await _everywhere(guest, timeout)
        else:
            whose = _chosen(session, system)
            agents = await guest.pushed_agents(whose, wait=wait_agent, timeout=timeout)
            found = [(whose or SYSTEM, agent) for agent in agents]
        if as_json:
            say_json([{"for": whose, **to_builtins(agent)} for whose, agent in found])
        else:
            say_table(COLUMNS, (_row(*row) for row in found))

    talk(work)


async def _everywhere(guest: Guest, timeout: float | None) -> Found:
    """The system's, and those of each user who has an agent that can be asked."""
    sessions = [session for session in await guest.sessions(timeout=timeout) if session.agents]
    users = {session.user: session.session for session in reversed(sessions)}
    found: Found = []
    for whose, where in ((SYSTEM, None), *((f"user:{user}", users[user]) for user in sorted(users))):
        # There may be no system agent, or another agent than the stock one.
        with suppress(CommandNotFound, CommandFailed):
            found += [(whose, agent) for agent in await guest.pushed_agents(where, timeout=timeout)]
    return found


def _row(whose: str, agent: InstalledAgent) -> tuple[str, ...]:
    def or_dash(text: str | UnsetType) -> str:
        return "-" if isinstance(text, UnsetType) else text

    return (
        *(agent.name, agent.version, whose, agent.unit),
        *(or_dash(agent.session), or_dash(agent.signer)),
    )


@agent.command(
    "logs", epilog=paragraphs(SESSIONS, examples("guestmux agent logs org.example.clock -s user:alice -f"))
)
@_name
@_whose
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, MAX_LINES),
    default=100,
    show_default=True,
    help="How many of the last.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what it writes, until ^C.")
@connecting
def logs(
    name: str,
    session: str | None,
    system: bool,
    lines: int,
    follow: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    """Print what a pushed agent has written to the guest's journal."""
    whose = _chosen(session, system)

    async def work(guest: Guest) -> None:
        log = await guest.agent_log(
            name, session=whose, lines=lines, follow=follow, wait=wait_agent, timeout=timeout
        )
        rest = b""
        async with log:
            with suppress(anyio.EndOfStream):
                while True:
                    *whole, rest = (rest + await log.receive()).split(b"\n")
                    for line in whole:
                        say(clean(line.decode(errors="replace")))
            await log.result()
        if rest:
            say(clean(rest.decode(errors="replace")))

    talk(work)


@agent.command(
    "remove", epilog=paragraphs(SESSIONS, examples("guestmux agent remove org.example.clock --system"))
)
@_name
@_whose
@as_json
@connecting
def remove(
    name: str,
    session: str | None,
    system: bool,
    as_json: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    """Stop a pushed agent, and remove it."""
    whose = _chosen(session, system)

    async def work(guest: Guest) -> None:
        removed = await guest.remove_agent(name, session=whose, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(removed)
        else:
            say(clean(f"{name} {removed.version} was removed"))

    talk(work)
