"""`guestmux open`: a URI on a session's desktop."""

from __future__ import annotations

import click

from guestmux.cli.options import as_json, call_timeout, connecting, in_session, talk, wait_agent
from guestmux.cli.output import say_json, warn
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest


@click.command(
    "open",
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux open https://example.org/ user:alice",
            "guestmux open --app firefox https://example.org/",
        ),
    ),
)
@click.argument("uri")
@in_session
@click.option(
    "--app",
    "app_id",
    metavar="ID",
    help="Not with the user's choice, but with this one: a desktop file's id.",
)
@wait_agent
@call_timeout
@as_json
@connecting
def open_uri(
    uri: str,
    session: str,
    app_id: str | None,
    wait_agent: float | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Open a URI in a session, with the application that its user has chosen for such URIs.

    The guest's administrator says which schemes may be opened: http, https and mailto where nothing else is said.
    """

    async def work(guest: Guest) -> None:
        opened = await guest.open_uri(uri, session, app_id=app_id, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(opened)
        elif not opened.confirmed:
            warn("the desktop may still be asking the user how to open it")

    talk(work)
