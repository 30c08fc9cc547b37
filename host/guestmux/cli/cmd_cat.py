"""`guestmux cat`."""

from __future__ import annotations

import sys

import click

from guestmux.cli import exits
from guestmux.cli.options import call_timeout, connecting, session_option, talk, wait_agent
from guestmux.cli.output import ReaderGone, warn
from guestmux.cli.transfer import pour
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.copying import LocalFileError
from guestmux.errors import CommandFailed, StreamFailed
from guestmux.guest import Guest


@click.command(
    epilog=paragraphs(
        SESSIONS,
        examples("guestmux cat /etc/os-release", "guestmux cat -s user:alice /home/alice/.profile | less"),
    )
)
@click.argument("paths", nargs=-1, required=True, metavar="GUESTPATH...")
@session_option
@wait_agent
@call_timeout
@connecting
def cat(paths: tuple[str, ...], session: str | None, wait_agent: float | None, timeout: float | None) -> None:
    """Print files of the guest.

    Without --session the guest's system agent reads them, with it the session's agent, as its user. A file that cannot
    be read is told, the others are printed, and the exit status is 1.
    """
    routing = {"session": session, "wait": wait_agent, "timeout": timeout}

    async def work(guest: Guest) -> int:
        status = exits.OK
        for path in paths:
            try:
                await pour(guest, path, sys.stdout.fileno(), "stdout", routing)
            except BrokenPipeError as error:
                raise ReaderGone from error
            except LocalFileError as error:
                warn(error)
                return exits.FAILED
            except (CommandFailed, StreamFailed) as error:
                warn(f"{path}: {error.desc}")
                status = exits.FAILED
        return status

    talk(work)
