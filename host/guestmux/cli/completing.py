"""What the shell offers on Tab. It asks the guest, for a blink; what is known without it is offered in any case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio
import click

from guestmux.errors import GuestmuxError, RemoteError
from guestmux.guest import Guest, connect
from guestmux_protocol.commands import NATIVE
from guestmux_protocol.events import EVENTS
from guestmux_protocol.session_commands import SESSION

PATIENCE = 0.5
"""Seconds that the guest has: nobody waits longer for a completion."""


def complete_commands(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of commands."""

    async def ask(guest: Guest) -> list[str]:
        return [command.name for command in (await guest.info()).supported_commands]

    return _beginning(incomplete, _ask(context, ask) or [*NATIVE, *SESSION])


def complete_sessions(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Sessions, in each form that names one."""

    async def ask(guest: Guest) -> list[str]:
        sessions = await guest.sessions()
        return [
            *(session.session for session in sessions),
            *sorted({f"user:{session.user}" for session in sessions}),
        ]

    return _beginning(incomplete, ["active", *_ask(context, ask)])


def complete_session_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Sessions by logind's ids alone."""

    async def ask(guest: Guest) -> list[str]:
        return [session.session for session in await guest.sessions()]

    return _beginning(incomplete, _ask(context, ask))


def complete_users(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Users who are logged in."""

    async def ask(guest: Guest) -> list[str]:
        return sorted({session.user for session in await guest.sessions()})

    return _beginning(incomplete, _ask(context, ask))


def complete_pushed_agents(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Agents that were pushed for the session that was named, or for the system."""
    session = context.params.get("session")

    async def ask(guest: Guest) -> list[str]:
        return [agent.name for agent in await guest.pushed_agents(session)]

    return _beginning(incomplete, _ask(context, ask))


def complete_events(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of guestmux's own events."""
    return _beginning(incomplete, EVENTS)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    # A guest's word must not become a shell's: names have no blanks, quotes or controls.
    return [name for name in names if name.startswith(incomplete) and _is_plain(name)]


def _is_plain(untrusted_name: str) -> bool:
    return (
        untrusted_name.isascii()
        and untrusted_name.replace(":", "").replace("-", "").replace(".", "").replace("_", "").isalnum()
    )


def _ask(context: click.Context, ask: Callable[[Guest], Awaitable[list[str]]]) -> list[str]:
    address = getattr(context.obj, "address", None)

    async def session() -> list[str]:
        with anyio.move_on_after(PATIENCE):
            async with connect(address, timeout=PATIENCE, reconnect=False, mux=False) as guest:
                return await ask(guest)
        return []

    try:
        return anyio.run(session)
    except (GuestmuxError, RemoteError):
        return []
