"""`guestmux call`: any command."""

from __future__ import annotations

from typing import Any

import click

from guestmux.cli.completing import complete_commands, complete_sessions
from guestmux.cli.options import SECONDS, call_timeout, connecting, talk
from guestmux.cli.output import say_json
from guestmux.cli.usage import examples
from guestmux.cli.values import Assignment, parse_assignment, parse_object, typed_arguments
from guestmux.errors import CommandNotFound
from guestmux.guest import Guest
from guestmux.schema import Described


@click.command(
    epilog=examples(
        "guestmux call guest-get-sessions",
        "guestmux call session-notify summary='Backup at noon' urgency=low --session user:alice",
        "guestmux call guest-file-open path=/etc/hostname mode=r",
        "guestmux call guest-file-read handle:=1000",
    )
)
@click.argument("command", shell_complete=complete_commands)
@click.argument("assignments", nargs=-1, metavar="[NAME=VALUE | NAME:=JSON]...")
@click.option("--json", "json_arguments", metavar="OBJECT", help="The arguments, as a JSON object.")
@click.option(
    "-s",
    "--session",
    shell_complete=complete_sessions,
    help="Run it in this session: an id as c2, 'active', or user:NAME.",
)
@click.option("--wait", type=SECONDS, metavar="SECONDS", help="Wait so long for the session's agent.")
@call_timeout
@connecting
def call(
    command: str,
    assignments: tuple[str, ...],
    json_arguments: str | None,
    session: str | None,
    wait: float | None,
    timeout: float | None,
) -> None:
    """Run any COMMAND of the guest, and print its result as JSON.

    NAME=VALUE is read as the type that the guest's schema gives; a list takes NAME=VALUE several times. Where the
    guest has no schema (a stock qemu-ga) it is a string. NAME:=JSON is sent as it is. `guestmux schema` lists the
    commands and their arguments. session=, wait= and timeout= mean the same as the options.
    """
    parsed = [parse_assignment(text) for text in assignments]
    arguments = parse_object(json_arguments) if json_arguments is not None else {}

    async def work(guest: Guest) -> None:
        described = await _describe(guest, command, parsed)
        given = {**arguments, **typed_arguments(parsed, described)}
        options = {"session": session, "wait": wait, "timeout": timeout}
        # As plain arguments they mean the same to eventd, but here nobody would wait long enough.
        routing: dict[str, Any] = {
            name: given.pop(name, None) if value is None else value for name, value in options.items()
        }
        say_json(await guest.call(command, given, **routing))

    talk(work)


async def _describe(guest: Guest, command: str, assignments: list[Assignment]) -> Described | None:
    """The command in the guest's schema, where it is needed and there is one."""
    if not any(assignment.typed for assignment in assignments):
        return None
    try:
        schema: Any = await guest.schema()
    except CommandNotFound:
        return None
    found: Described | None = schema.commands.get(command)
    return found
