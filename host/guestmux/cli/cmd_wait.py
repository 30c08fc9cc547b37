"""`guestmux wait`: until a session or an agent is there."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import click

from guestmux.cli.options import SECONDS, as_json, connecting, in_session, talk
from guestmux.cli.output import clean, say, say_json
from guestmux.cli.usage import examples
from guestmux.guest import Guest

patience = click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    help="Give up after this time, with exit status 124. The guest itself may come within it.",
)


@click.group()
@connecting
def wait() -> None:
    """Wait until a session or an agent is there."""


@wait.command(
    epilog=examples("guestmux wait session user:alice --timeout 120 && guestmux notify -s user:alice Welcome")
)
@in_session
@patience
@as_json
@connecting
def session(session: str, timeout: float | None, as_json: bool) -> None:
    """Wait until SESSION is there (an id, 'active' or user:NAME), and print its id."""

    async def find(guest: Guest, seconds: float | None) -> None:
        found = await guest.wait_session(session, timeout=seconds)
        if as_json:
            say_json(found)
        else:
            say(clean(found.session))

    _within(timeout, find)


@wait.command(epilog=examples("guestmux wait agent user:alice --timeout 60"))
@in_session
@click.option("--name", help="The agent's name; any agent by default.")
@patience
@as_json
@connecting
def agent(session: str, name: str | None, timeout: float | None, as_json: bool) -> None:
    """Wait until an agent is registered in SESSION, and print its name."""

    async def find(guest: Guest, seconds: float | None) -> None:
        found = await guest.wait_agent(session, name, timeout=seconds)
        if as_json:
            say_json(found)
        else:
            say(clean(found.name))

    _within(timeout, find)


def _within(timeout: float | None, find: Callable[[Guest, float | None], Awaitable[None]]) -> None:
    began = time.monotonic()

    async def work(guest: Guest) -> None:
        await find(guest, None if timeout is None else max(timeout - (time.monotonic() - began), 0))

    talk(work, reconnect=True, patience=timeout or 0)
