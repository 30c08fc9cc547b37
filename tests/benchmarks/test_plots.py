"""The pictures: a bar for each side that was measured, in a small file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.core.figures import Figure
from benchmarks.core.plots import PLOTS, draw
from benchmarks.core.rounds import Measure, Row

SMALL = 60 * 1024


def row(benchmark: str, measure: str, ours: str, peer: str) -> Row:
    figure = Figure(2.0, 1.0, 3.0)
    return Row(benchmark, Measure(measure, "µs"), ours, figure, peer, figure, figure)


def test_only_what_was_measured_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    rows = [
        row("streams", name, f"{count} streams", "relay") for name in PLOTS[0].measures for count in (1, 10)
    ]
    (path,) = draw(rows, tmp_path / "plots")
    assert path.name == "streams.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < SMALL


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert draw([row("latency", "guest-ping p50", "eventd", "qemu-ga")], tmp_path) == []
