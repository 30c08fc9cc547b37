"""Bars that show how far a copy is: size, rate, time left."""

from __future__ import annotations

from rich import progress
from rich.console import Console


def progress_bars() -> progress.Progress:
    """Bars on stderr. What else is printed meanwhile appears above them."""
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=Console(stderr=True))
