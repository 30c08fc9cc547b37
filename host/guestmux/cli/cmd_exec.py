"""`guestmux exec`."""

from __future__ import annotations

import os
import sys
from functools import partial

import click

from guestmux.cli import exits
from guestmux.cli.attached import STDIN, Attached, GivenUp
from guestmux.cli.descriptors import read_some
from guestmux.cli.local_terminal import raw, terminal_size
from guestmux.cli.options import call_timeout, connecting, session_option, talk, wait_agent
from guestmux.cli.output import warn
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.errors import CommandDisabled, CommandFailed, CommandNotFound
from guestmux.guest import Guest
from guestmux.process import Process, TerminalSize

MAX_INPUT = 16 * 1024 * 1024
"""Bytes of input for a guest that takes all of it at the start: as much as it keeps of an output."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""For a command outside a session that is given variables, which there are its whole environment."""

NO_SUCH_FILE = "No such file or directory"
"""What the guest says of a command that is not there (ENOENT)."""


@click.command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux exec -- uname -a",
            "guestmux exec -s user:alice -- notify-send 'Hello'",
            "guestmux exec -s active -t -- bash",
            "guestmux exec -- sh -c 'cat > /tmp/x' < x",
            "guestmux exec -n -- tar -C /etc -c ssh | tar -x",
        ),
    ),
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND...")
@session_option
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal, of the size and kind of ours.")
@click.option(
    "-e",
    "--env",
    "variables",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set a variable; without a value, as it is here.",
)
@click.option("--cwd", metavar="DIRECTORY", help="Start it in this directory of the guest.")
@click.option("-n", "--no-stdin", is_flag=True, help="Give it no input; else it gets ours, to its end.")
@click.option("-v", "--verbose", is_flag=True, help="Say when the guest cannot run it live.")
@wait_agent
@call_timeout
@connecting
def execute(
    command: tuple[str, ...],
    session: str | None,
    tty: bool,
    variables: tuple[str, ...],
    cwd: str | None,
    no_stdin: bool,
    verbose: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    """Run COMMAND in the guest, as if it were here: with our input, output, signals, and its exit status.

    No shell reads COMMAND; what begins with it is its own, so options of ours come before. In a session it runs as the
    session's user with the session's environment, to which --env adds. Elsewhere the system agent runs it, and --env
    gives all variables but PATH.

    ^C, SIGTERM, SIGHUP and SIGQUIT go to the command and its group; a second one within a second ends guestmux and
    leaves the command, hung up. With --tty every key goes to the command; ^] three times within a second ends it.

    The exit status is the command's, 128 and the number where a signal ended it, 126 where it cannot be started and
    127 where it is not there; else as `guestmux --help` tells. A stock qemu-ga gives the output when the command ended,
    and takes input and signals not at all while it runs; --tty and --cwd are refused there.
    """
    env = _environment(variables, session)
    # Who closed stdin has none to give.
    takes_input = not no_stdin and sys.stdin is not None
    terminal = terminal_size(STDIN) if tty else None

    async def start(guest: Guest) -> Process:
        begin = partial(guest.exec, command, env=env, session=session, wait=wait_agent, timeout=timeout)
        try:
            return await begin(cwd=cwd, terminal=terminal, live=True)
        except CommandNotFound as error:
            if tty or cwd is not None or isinstance(error, CommandDisabled):
                raise
        if verbose:
            warn("this guest's agent runs nothing live: the output comes when the command has ended")
        given = await _whole_input() if takes_input else b""
        return await begin(stdin=given, live=False)

    async def work(guest: Guest) -> int:
        try:
            process = await start(guest)
        except CommandFailed as error:
            warn(f"the guest says: {error.desc}")
            return exits.NOT_FOUND if NO_SUCH_FILE in error.desc else exits.REFUSED
        return await _attend(process, terminal, takes_input=takes_input)

    talk(work)


async def _attend(process: Process, terminal: TerminalSize | None, *, takes_input: bool) -> int:
    attached = Attached(process, takes_input=takes_input, terminal=terminal is not None)
    async with process:
        try:
            if terminal is None or not takes_input:
                return await attached.run()
            with raw(STDIN):
                return await attached.run()
        except GivenUp as given_up:
            return given_up.status


def _environment(variables: tuple[str, ...], session: str | None) -> dict[str, str] | None:
    """What to send; None where the guest is to decide."""
    if not variables:
        return None
    env = {} if session is not None else {"PATH": DEFAULT_PATH}
    for text in variables:
        name, sign, value = text.partition("=")
        if not name:
            raise click.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--env")
        if sign or name in os.environ:
            env[name] = value if sign else os.environ[name]
    return env


async def _whole_input() -> bytes:
    """All of stdin, where it is no terminal, whose user would wonder why nothing happens."""
    if os.isatty(STDIN):
        return b""
    given = bytearray()
    while piece := await read_some(STDIN):
        given += piece
        if len(given) > MAX_INPUT:
            raise click.UsageError(f"this guest's agent takes {MAX_INPUT >> 20} MiB of input at most")
    return bytes(given)
