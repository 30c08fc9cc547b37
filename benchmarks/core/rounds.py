"""The sides of a comparison, measured in turns: A B A B …, so that a noisy machine is as noisy for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.core.figures import Figure, ratio

Sample = Mapping[str, float]
"""What one side gave in one round, by the measure's name."""

Side = Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Scale:
    """How long to measure.

    Attributes:
        rounds: times that each side has its turn.
        share: of the full number of requests in a round.
        seconds: of watching something idle.
    """

    rounds: int
    share: float
    seconds: float

    def count(self, full: int) -> int:
        """How many of `full` requests to make; never fewer than 20."""
        return max(20, round(full * self.share))

    def few(self) -> int:
        """Rounds where each starts processes anew."""
        return max(2, self.rounds // 2)


FULL = Scale(rounds=9, share=1.0, seconds=1.0)
QUICK = Scale(rounds=3, share=0.25, seconds=0.2)


@dataclass(frozen=True, slots=True)
class Measure:
    """What a number of a sample is.

    Attributes:
        name: its key in the samples, and its name in the table.
        unit: for the table.
        more_is_better: otherwise less is.
    """

    name: str
    unit: str
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: ours, a peer's, and ours divided by the peer's (None where the peer's is zero)."""

    benchmark: str
    measure: Measure
    ours_name: str
    ours: Figure
    peer_name: str
    peer: Figure
    ratio: Figure | None


class Rounds:
    """The samples of all sides of a comparison, by the side's name."""

    def __init__(self, benchmark: str, samples: Mapping[str, Sequence[Sample]]) -> None:
        self._benchmark = benchmark
        self._samples = samples

    def rows(self, measures: Iterable[Measure], ours: str, *peers: str) -> list[Row]:
        """A row for each measure and peer."""
        return [self._row(measure, ours, peer) for measure in measures for peer in peers]

    def _row(self, measure: Measure, ours: str, peer: str) -> Row:
        mine, theirs = self._values(measure, ours), self._values(measure, peer)
        return Row(
            self._benchmark, measure, ours, Figure.of(mine), peer, Figure.of(theirs), ratio(mine, theirs)
        )

    def _values(self, measure: Measure, side: str) -> list[float]:
        return [sample[measure.name] for sample in self._samples[side]]


def take_turns(benchmark: str, sides: Mapping[str, Side], rounds: int, *, warm_up: bool = True) -> Rounds:
    """Measure each side once in every round.

    Args:
        benchmark: its name, for the rows.
        sides: what measures each side, by the side's name.
        rounds: how many.
        warm_up: run a round first whose samples are dropped.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for number in range(rounds + warm_up):
        for name, measure in sides.items():
            sample = measure()
            if number >= warm_up:
                samples[name].append(sample)
    return Rounds(benchmark, samples)
