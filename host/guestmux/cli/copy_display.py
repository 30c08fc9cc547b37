"""What is seen of a copy: bars on a terminal, and a line in the end elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guestmux.cli.output import clean, warn
from guestmux.cli.sizes import size
from guestmux.copying import CopyFailure, CopyReport, CopyWatcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LARGE = 8 * 1024 * 1024
"""Bytes of a file that gets a bar of its own where there are many: others are gone before they are seen."""


class CopyDisplay(CopyWatcher):
    """Tells what went wrong, and in the end what was done.

    Args:
        to_guest: which way the copy goes.
        quiet: tell only what went wrong.
    """

    def __init__(self, *, to_guest: bool, quiet: bool) -> None:
        self._to_guest = to_guest
        self._quiet = quiet
        self._begun = time.monotonic()

    def skipped(self, path: str, what: str) -> None:
        """See CopyWatcher."""
        warn(f"{self._source(path)}: {what} is not copied")

    def failed(self, failure: CopyFailure) -> None:
        """See CopyWatcher."""
        warn(self._source(str(failure)))

    def kept(self, path: str, part: str, count: int) -> None:
        """See CopyWatcher."""
        where = f":{part}" if self._to_guest else part
        warn(
            f"{self._source(path)}: incomplete; {size(count)} are in {where}, and cp --resume goes on with them"
        )

    def noted(self, text: str) -> None:
        """See CopyWatcher."""
        warn(text)

    def sum_up(self, report: CopyReport) -> None:
        """Tell what was done."""
        if self._quiet or not (report.files or report.directories or report.symlinks):
            return
        seconds = max(time.monotonic() - self._begun, 0.001)
        parts = [_count(report.files, "file"), _count(report.directories, "directory", "directories")]
        parts += [_count(report.symlinks, "link"), size(report.bytes)]
        rate = f"{seconds:.1f} s, {size(round(report.bytes / seconds))}/s"
        warn(f"{', '.join(part for part in parts if part)} in {rate}")

    def _source(self, text: str) -> str:
        return text if self._to_guest else f":{text}"


class CopyBars(CopyDisplay):
    """Shows bars as well.

    Args:
        to_guest: which way the copy goes.
        bars: where.
        many: whether directories are copied; then only large files have a bar, and one line is about all.
    """

    def __init__(self, *, to_guest: bool, bars: Progress, many: bool) -> None:
        super().__init__(to_guest=to_guest, quiet=True)
        self._bars = bars
        self._many = many
        self._all = bars.add_task("all", total=None) if many else None
        self._files = 0
        self._tasks: dict[str, TaskID] = {}

    def began(self, path: str, size: int | None) -> None:
        """See CopyWatcher."""
        if not self._many or (size or 0) >= LARGE:
            self._tasks[path] = self._bars.add_task(clean(path), total=size)

    def moved(self, path: str, count: int) -> None:
        """See CopyWatcher."""
        if path in self._tasks:
            self._bars.advance(self._tasks[path], count)
        if self._all is not None:
            self._bars.advance(self._all, count)

    def ended(self, path: str) -> None:
        """See CopyWatcher."""
        task = self._tasks.pop(path, None)
        if self._all is not None:
            self._files += 1
            self._bars.update(self._all, description=f"{self._files} files")
            if task is not None:
                self._bars.remove_task(task)


@contextmanager
def copy_display(*, to_guest: bool, many: bool, quiet: bool) -> Iterator[CopyDisplay]:
    """Show a copy while the block runs: with bars on stderr where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield CopyDisplay(to_guest=to_guest, quiet=quiet)
        return
    # Imported here: it takes longer than copying a small file.
    from guestmux.cli.progress import progress_bars

    with progress_bars() as bars:
        yield CopyBars(to_guest=to_guest, bars=bars, many=many)


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}" if number else ""
