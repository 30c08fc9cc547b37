"""`guestmux info`, `sessions`, `users`, `version`: what is there."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from msgspec import UNSET

from guestmux import __version__
from guestmux.cli.options import as_json, call_timeout, connecting, talk
from guestmux.cli.output import clean, say, say_json, say_table
from guestmux.cli.usage import examples
from guestmux.guest import Guest
from guestmux_protocol.sessions import Session


@click.command()
@as_json
@call_timeout
@connecting
def info(as_json: bool, timeout: float | None) -> None:
    """Show the guest agent's version and the commands that it takes now."""

    async def work(guest: Guest) -> None:
        found = await guest.info(timeout=timeout)
        if as_json:
            say_json(found)
            return
        enabled = [command.name for command in found.supported_commands if command.enabled]
        disabled = [command.name for command in found.supported_commands if not command.enabled]
        say(f"address   {guest.address}")
        say(f"dialect   {guest.dialect}")
        say(f"version   {clean(found.version)}")
        say(f"commands  {clean(' '.join(enabled))}")
        if disabled:
            say(f"disabled  {clean(' '.join(disabled))}")

    talk(work)


@click.command(
    epilog=examples("guestmux sessions", "guestmux sessions --json | jq -r '.[] | select(.locked) | .user'")
)
@as_json
@call_timeout
@connecting
def sessions(as_json: bool, timeout: float | None) -> None:
    """List the guest's login sessions, with the agents in each."""

    async def work(guest: Guest) -> None:
        found = await guest.sessions(timeout=timeout)
        if as_json:
            say_json(found)
            return
        say_table(("SESSION", "USER", "SEAT", "TYPE", "CLASS", "STATE", "AGENTS"), map(_row, found))

    talk(work)


def _row(session: Session) -> tuple[str, ...]:
    flags = [("locked", session.locked), ("idle", session.idle), ("remote", session.remote)]
    claimed = [] if session.claimed is UNSET else [f"{what}(claimed)" for what in session.claimed]
    state = [session.state, *(name for name, is_set in flags if is_set), *claimed]
    place = session.seat or session.remote_host or "-"
    agents = " ".join(agent.name for agent in session.agents) or "-"
    return (
        session.session,
        session.user,
        place,
        session.type,
        session.session_class,
        ",".join(state),
        agents,
    )


@click.command()
@as_json
@call_timeout
@connecting
def users(as_json: bool, timeout: float | None) -> None:
    """List the logged-in users, with the time of the earliest login of each. A stock qemu-ga knows them, too."""

    async def work(guest: Guest) -> None:
        found = await guest.users(timeout=timeout)
        if as_json:
            say_json(found)
            return
        say_table(("USER", "LOGIN"), [(user.user, _date(user.login_time)) for user in found])

    talk(work)


def _date(untrusted_seconds: float) -> str:
    try:
        return datetime.fromtimestamp(untrusted_seconds, UTC).isoformat(sep=" ", timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return "-"


@click.command()
def version() -> None:
    """Show the version of this program. The guest's is in `guestmux info`."""
    say(f"guestmux {__version__}")
