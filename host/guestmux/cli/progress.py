"""A bar that shows how far a copy is: size, rate, time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guestmux_protocol.printable import clean


@contextmanager
def progress(name: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while the block runs, where that is a terminal; gives what is to be told of each piece.

    Args:
        name: of the file.
        total: bytes to come; None where nobody knows.
        quiet: show none.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    # Imported here: it takes longer than copying a small file.
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(clean(name), total=total)
        yield lambda count: bar.advance(task, count)
