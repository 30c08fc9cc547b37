"""`guestmux inhibit-idle`: a session that stays awake while a command of the host runs."""

from __future__ import annotations

import click

from guestmux.calls import ACTIVE
from guestmux.cli import exits
from guestmux.cli.awake_run import AwakeRun, until_told
from guestmux.cli.completing import complete_sessions
from guestmux.cli.options import SECONDS, as_json, call_timeout, connecting, talk, wait_agent
from guestmux.cli.output import say_json, say_table, warn
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.inhibit_commands import Inhibitor

REASON = "A host asks for it"
"""Shown to the session's user where no reason is given."""


@click.command(
    "inhibit-idle",
    context_settings={"allow_interspersed_args": False},
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux inhibit-idle -s user:alice --reason 'An update is being installed' -- ./update desktop7",
            "guestmux inhibit-idle --for 600",
            "guestmux inhibit-idle --list",
        ),
    ),
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[--] [COMMAND]...")
@click.option("-s", "--session", default=ACTIVE, show_default=True, shell_complete=complete_sessions)
@click.option("--reason", default=REASON, show_default=True, help="Shown to the session's user.")
@click.option(
    "--for", "seconds", type=SECONDS, metavar="SECONDS", help="Without COMMAND: end after this time."
)
@click.option(
    "--list", "listing", is_flag=True, help="Print what hosts keep the session awake by, and do nothing."
)
@wait_agent
@call_timeout
@as_json
@connecting
def inhibit_idle(
    command: tuple[str, ...],
    session: str,
    reason: str,
    seconds: float | None,
    listing: bool,
    wait_agent: float | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Keep a session from going idle, and so from locking by itself, while COMMAND runs on this host.

    Without COMMAND: until ^C, or for the time of --for. No shell reads COMMAND. The exit status is the command's, 127
    where it is not there, 126 where it cannot be started. It is not started where the session cannot be kept awake.
    When guestmux ends, however it does, the guest lets go: at once where the port carries streams, else within 90
    seconds. While the connection is lost nothing holds the session, which is said on stderr, and COMMAND goes on.
    """
    if command and seconds is not None:
        raise click.UsageError("--for is for no COMMAND")

    async def work(guest: Guest) -> int:
        if listing:
            found = await guest.idle_inhibitors(session, wait=wait_agent, timeout=timeout)
            _show(found, as_json)
            return exits.OK
        held = guest.idle_inhibited(reason, session, told=_tell, wait=wait_agent, timeout=timeout)
        async with held:
            return await (AwakeRun(command).run() if command else until_told(seconds))

    talk(work, reconnect=not listing)


def _tell(trouble: str) -> None:
    warn(f"the session may go idle: {trouble}" if trouble else "the session is kept awake again")


def _show(found: list[Inhibitor], as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    rows = [
        (
            one.id,
            one.reason,
            ",".join(one.by) or "-",
            f"{one.seconds:.0f}" if isinstance(one.seconds, float) else "-",
        )
        for one in found
    ]
    say_table(("ID", "REASON", "BY", "SECONDS"), rows)
