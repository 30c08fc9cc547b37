"""What goes to the terminal. Text from the guest is untrusted: it may not move the cursor, nor pass for our words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from guestmux_protocol.json_text import encode
from guestmux_protocol.printable import clean

__all__ = ["ReaderGone", "clean", "say", "say_json", "say_table", "warn"]


class ReaderGone(Exception):
    """Nobody reads our output any more, as in `guestmux events | head -1`."""


def say(text: str) -> None:
    """Print a line, at once: whoever reads it in a pipe waits for it.

    Raises:
        ReaderGone: nobody does.
    """
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def warn(untrusted_text: object) -> None:
    """Print a line about ourselves to stderr."""
    click.echo(f"guestmux: {clean(untrusted_text)}", err=True)


def say_json(value: Any) -> None:
    """Print a value as one line of JSON, in ASCII."""
    say(encode(msgspec.to_builtins(value)).decode("ascii"))


def say_table(columns: Sequence[str], untrusted_rows: Iterable[Sequence[object]]) -> None:
    """Print rows: a rich table on a terminal, aligned columns in a pipe."""
    rows = [[clean(cell) for cell in row] for row in untrusted_rows]
    if sys.stdout.isatty():
        _say_rich_table(columns, rows)
    else:
        _say_columns([list(columns), *rows])


def _say_rich_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    # Imported here: it takes longer than all the rest of a short command.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As Text: in a str rich would read markup.
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def _say_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
