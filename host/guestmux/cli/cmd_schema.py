"""`guestmux schema`."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import click

from guestmux.cli import exits
from guestmux.cli.completing import complete_commands
from guestmux.cli.options import as_json, call_timeout, connecting, talk
from guestmux.cli.output import say_json, say_table, warn
from guestmux.cli.usage import examples
from guestmux.guest import Guest
from guestmux.schema import Described


@click.command(epilog=examples("guestmux schema", "guestmux schema 'session-*' SESSION_LOCK"))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_commands)
@as_json
@call_timeout
@connecting
def schema(patterns: tuple[str, ...], as_json: bool, timeout: float | None) -> None:
    """Show the guest's commands and events with their types, those of its agents included.

    PATTERN is a glob over their names. An argument in brackets may be left out. --json prints QAPI's introspection.
    """

    async def work(guest: Guest) -> int:
        found = await guest.schema(timeout=timeout)
        if as_json:
            say_json(found.entities)
            return exits.OK
        chosen = [
            item
            for item in [*found.commands.values(), *found.events.values()]
            if not patterns or any(fnmatchcase(item.name, pattern) for pattern in patterns)
        ]
        if not chosen:
            warn(f"nothing in the guest's schema matches {' '.join(patterns)}")
            return exits.NOT_FOUND
        _show(chosen, found.events)
        return exits.OK

    talk(work)


def _show(chosen: Iterable[Described], events: dict[str, Described]) -> None:
    rows = [
        ("event" if item.name in events else "command", item.name, _parameters(item), item.returns)
        for item in chosen
    ]
    say_table(("KIND", "NAME", "MEMBERS", "RETURNS"), rows)


def _parameters(item: Described) -> str:
    parts = [
        f"{parameter.name}: {parameter.type}"
        if parameter.required
        else f"[{parameter.name}: {parameter.type}]"
        for parameter in item.parameters
    ]
    return " ".join(parts) or "-"
