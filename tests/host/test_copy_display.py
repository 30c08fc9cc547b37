"""What is seen of a copy."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from guestmux.cli.copy_display import LARGE, CopyBars, CopyDisplay, copy_display
from guestmux.copying import CopyFailure, CopyReport, LocalFileError


@pytest.fixture
def bars() -> Progress:
    return Progress(console=Console(file=io.StringIO(), force_terminal=True))


def test_one_file_has_a_bar(bars: Progress) -> None:
    display = CopyBars(to_guest=True, bars=bars, many=False)
    display.began("a", 100)
    display.moved("a", 40)
    assert [(task.description, task.total, task.completed) for task in bars.tasks] == [("a", 100, 40)]
    display.ended("a")
    assert len(bars.tasks) == 1, "it stays to be seen"


def test_of_many_files_the_large_ones_have_bars(bars: Progress) -> None:
    display = CopyBars(to_guest=False, bars=bars, many=True)
    display.began("small", 10)
    display.began("large", LARGE)
    display.moved("small", 10)
    display.moved("large", 1000)
    assert [(task.description, task.completed) for task in bars.tasks] == [("all", 1010), ("large", 1000)]
    display.ended("small")
    display.ended("large")
    assert [(task.description, task.completed) for task in bars.tasks] == [("2 files", 1010)]


def test_a_hostile_name_cannot_draw(bars: Progress) -> None:
    display = CopyBars(to_guest=False, bars=bars, many=False)
    display.began("\x1b[2J[red]", None)
    assert bars.tasks[0].description == "\\x1b[2J[red]"


@pytest.mark.parametrize(("to_guest", "source", "part"), [(True, "a", ":p"), (False, ":a", "p")])
def test_what_went_wrong(to_guest: bool, source: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    display = CopyDisplay(to_guest=to_guest, quiet=True)
    display.skipped("a", "a fifo")
    display.failed(CopyFailure("a", LocalFileError("no room")))
    display.kept("a", "p", 2048)
    display.noted("by the way")
    display.sum_up(CopyReport(files=1))
    assert capsys.readouterr().err.splitlines() == [
        f"guestmux: {source}: a fifo is not copied",
        f"guestmux: {source}: no room",
        f"guestmux: {source}: incomplete; 2.0 KiB are in {part}, and cp --resume goes on with them",
        "guestmux: by the way",
    ]


def test_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    with copy_display(to_guest=True, many=True, quiet=False) as display:
        display.sum_up(CopyReport())
        display.sum_up(CopyReport(files=2, directories=1, symlinks=3, bytes=1024))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("guestmux: 2 files, 1 directory, 3 links, 1.0 KiB in ")
