"""`guestmux wait`: until a session or an agent is there."""

from __future__ import annotations

import click

from guestmux.cli.options import SECONDS, as_json, connecting, in_session, talk
from guestmux.cli.output import clean, say, say_json
from guestmux.cli.usage import examples
from guestmux.guest import Guest

patience = click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="Give up after this time, with exit status 124."
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

    async def work(guest: Guest) -> None:
        found = await guest.wait_session(session, timeout=timeout)
        if as_json:
            say_json(found)
        else:
            say(clean(found.session))

    talk(work, reconnect=True)


@wait.command(epilog=examples("guestmux wait agent user:alice --timeout 60"))
@in_session
@click.option("--name", help="The agent's name; any agent by default.")
@patience
@as_json
@connecting
def agent(session: str, name: str | None, timeout: float | None, as_json: bool) -> None:
    """Wait until an agent is registered in SESSION, and print its name."""

    async def work(guest: Guest) -> None:
        found = await guest.wait_agent(session, name, timeout=timeout)
        if as_json:
            say_json(found)
        else:
            say(clean(found.name))

    talk(work, reconnect=True)
