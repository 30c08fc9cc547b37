"""`guestmux clipboard`: what is in a session's clipboards, by stdin and stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from guestmux.calls import ACTIVE
from guestmux.cli.completing import complete_sessions
from guestmux.cli.options import as_json, call_timeout, connecting, talk, wait_agent
from guestmux.cli.output import ReaderGone, clean, say, say_json
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.clipboard_commands import MAX_CONTENT, TEXT, ClipboardFormats, Selection

Function = TypeVar("Function", bound=Callable[..., Any])


def _which(function: Function) -> Function:
    """Add the options that say which clipboard."""
    session = click.option(
        "-s", "--session", default=ACTIVE, show_default=True, shell_complete=complete_sessions
    )
    primary = click.option(
        "--primary",
        "selection",
        flag_value="primary",
        default="clipboard",
        help="What the user has marked, and the middle button inserts, instead of the clipboard.",
    )
    return session(primary(wait_agent(call_timeout(function))))


_type = click.option(
    "-t",
    "--type",
    "mime",
    default=TEXT,
    show_default=True,
    metavar="MIME",
    help="The format, as text/html or image/png. text/plain is text in whatever form programs have it, in UTF-8.",
)


@click.group()
@connecting
def clipboard() -> None:
    """Read, set and empty a session's clipboard.

    The guest refuses it while the session is locked or in the background, unless its session-agent.toml says otherwise.
    """


@clipboard.command(
    "get",
    epilog=paragraphs(
        SESSIONS, examples("guestmux clipboard get", "guestmux clipboard get --type image/png > picture.png")
    ),
)
@_which
@_type
@connecting
def get(
    session: str, selection: Selection, wait_agent: float | None, timeout: float | None, mime: str
) -> None:
    """Write the clipboard's content to stdout, as it is."""

    async def work(guest: Guest) -> None:
        content = await guest.clipboard_get(
            session, format=mime, selection=selection, wait=wait_agent, timeout=timeout
        )
        _write(content)

    talk(work)


@clipboard.command(
    "set",
    epilog=paragraphs(
        SESSIONS,
        examples(
            "echo hello | guestmux clipboard set", "guestmux clipboard set --type image/png < picture.png"
        ),
    ),
)
@_which
@_type
@connecting
def set_content(
    session: str, selection: Selection, wait_agent: float | None, timeout: float | None, mime: str
) -> None:
    """Put all of stdin into the clipboard, 64 MiB at the most.

    The session's agent has it until another program sets one.
    """
    # One byte more, so that the guest tells that it is too much.
    content = sys.stdin.buffer.read(MAX_CONTENT + 1)

    async def work(guest: Guest) -> None:
        await guest.clipboard_set(
            content, session, format=mime, selection=selection, wait=wait_agent, timeout=timeout
        )

    talk(work)


@clipboard.command("clear", epilog=SESSIONS)
@_which
@connecting
def clear(session: str, selection: Selection, wait_agent: float | None, timeout: float | None) -> None:
    """Empty the clipboard. A clipboard manager of the session's may have kept what was in it."""

    async def work(guest: Guest) -> None:
        await guest.clipboard_clear(session, selection=selection, wait=wait_agent, timeout=timeout)

    talk(work)


@clipboard.command("formats", epilog=SESSIONS)
@_which
@as_json
@connecting
def formats(
    session: str, selection: Selection, wait_agent: float | None, timeout: float | None, as_json: bool
) -> None:
    """Print in which formats there is a content, one a line."""

    async def work(guest: Guest) -> None:
        found = await guest.clipboard_formats(session, selection=selection, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(found)
        else:
            _show(found)

    talk(work)


def _show(found: ClipboardFormats) -> None:
    for name in found.formats:
        say(clean(name))


def _write(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
