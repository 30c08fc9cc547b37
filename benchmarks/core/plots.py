"""Bars with the lowest and the highest round, as small PNGs. Needs matplotlib: the extra `bench`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.core.figures import Figure
from benchmarks.core.rounds import Row

DPI = 80
WIDTH, HEIGHT = 7.0, 0.34
"""Inches: of a picture, and of each bar in it."""

COLOURS = ("#2f6f9f", "#d08c2f", "#5a9a5a", "#a05a8a", "#808080")


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: for each side of a benchmark a bar for each measure.

    Attributes:
        benchmark: its name.
        title: above the bars.
        measures: names of measures, all with one unit.
        log: whether the scale is logarithmic.
        file: its name, without the suffix; the benchmark's where not given.
    """

    benchmark: str
    title: str
    measures: tuple[str, ...]
    log: bool = False
    file: str = ""


PLOTS = (
    Plot("streams", "Bytes through host, eventd and agent", ("guest to host", "host to guest")),
    Plot("stream-latency", "Beside streams at full speed", ("ping p50", "ping p99"), log=True),
    Plot("channel", "Events from an agent to the host", ("events",), file="events"),
    Plot("channel", "A call, host to agent and back", ("call p50", "call p99"), log=True, file="calls"),
    Plot("agents", "Registering one more agent", ("registration p50",), file="registration"),
    Plot("agents", "Calling one of many agents", ("call p50",), file="agents"),
)


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw what was measured; gives the files.

    Raises:
        ImportError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for plot in PLOTS:
        bars = {name: figures for name in plot.measures if (figures := _figures(rows, plot.benchmark, name))}
        if bars:
            drawn.append(folder / f"{plot.file or plot.benchmark}.png")
            _draw(plot, bars, _unit(rows, plot), drawn[-1])
    return drawn


def _figures(rows: Iterable[Row], benchmark: str, measure: str) -> dict[str, Figure]:
    """What each side gave; first what the others are compared with."""
    rows = [row for row in rows if (row.benchmark, row.measure.name) == (benchmark, measure)]
    peers = {row.peer_name: row.peer for row in rows}
    return peers | {row.ours_name: row.ours for row in rows}


def _unit(rows: Iterable[Row], plot: Plot) -> str:
    return next(
        row.measure.unit
        for row in rows
        if (row.benchmark, row.measure.name) == (plot.benchmark, plot.measures[0])
    )


def _draw(plot: Plot, bars: dict[str, dict[str, Figure]], unit: str, path: Path) -> None:
    import matplotlib.figure

    sides = list(dict.fromkeys(side for figures in bars.values() for side in figures))
    size = (WIDTH, 1.2 + HEIGHT * len(sides) * len(bars))
    picture = matplotlib.figure.Figure(figsize=size, layout="constrained")
    axes: Any = picture.subplots()
    thick = 0.8 / len(bars)
    for number, (measure, figures) in enumerate(bars.items()):
        places = [sides.index(side) + (number - (len(bars) - 1) / 2) * thick for side in figures]
        medians = [figure.median for figure in figures.values()]
        spread = [
            [figure.median - figure.low for figure in figures.values()],
            [figure.high - figure.median for figure in figures.values()],
        ]
        axes.barh(
            places, medians, thick * 0.9, xerr=spread, label=measure, color=COLOURS[number], ecolor="#444444"
        )
    axes.set_yticks(range(len(sides)), sides)
    axes.invert_yaxis()
    axes.set_xscale("log" if plot.log else "linear")
    axes.set_xlabel(unit)
    axes.set_title(plot.title)
    axes.grid(axis="x", alpha=0.3)
    if len(bars) > 1:
        axes.legend()
    # Without the library's version in it the same figures give the same file.
    picture.savefig(path, dpi=DPI, metadata={"Software": None})
