"""The table: by rich where it is installed, else plain text."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.core.figures import Figure
from benchmarks.core.rounds import Row

HEADINGS = ("benchmark", "measure", "ours", "", "peer", "", "ours / peer")

COLUMN_GAP = "  "

_RIGHT = frozenset({3, 5, 6})


def number(value: float) -> str:
    """Three significant digits, and no exponent."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure: Figure | None) -> str:
    """The median with the lowest and the highest, as `1.50 (1.20–1.90)`."""
    if figure is None:
        return "–"
    return f"{number(figure.median)} ({number(figure.low)}–{number(figure.high)})"


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, one for each of HEADINGS; the arrow says where better is."""
    measure = row.measure
    title = f"{measure.name} {'↑' if measure.more_is_better else '↓'}"
    ours, peer = (f"{spread(figure)} {measure.unit}" for figure in (row.ours, row.peer))
    return row.benchmark, title, row.ours_name, ours, row.peer_name, peer, spread(row.ratio)


def as_json(row: Row) -> dict[str, Any]:
    """A row for a machine."""
    return asdict(row)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    if importlib.util.find_spec("rich") and sys.stdout.isatty():
        _show_rich(rows)
    else:
        print(plain([HEADINGS, *map(cells, rows)]))


def plain(lines: Iterable[Sequence[str]]) -> str:
    """Columns of text, as wide as their widest cell; numbers to the right."""
    table = [tuple(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        COLUMN_GAP.join(map(_aligned, range(len(widths)), line, widths)).rstrip() for line in table
    )


def _aligned(column: int, text: str, width: int) -> str:
    return text.rjust(width) if column in _RIGHT else text.ljust(width)


def _show_rich(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if column in _RIGHT else "left", overflow="fold")
    for row in rows:
        table.add_row(*cells(row))
    Console().print(table)
