"""A measured value as it is quoted: the median of several rounds, with the lowest and the highest."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of each round, summed up.

    Attributes:
        median: of the rounds.
        low: the lowest.
        high: the highest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Sum up the rounds.

        Raises:
            ValueError: there are none.
        """
        if not values:
            raise ValueError("no round was measured")
        return cls(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least `percent` of them do not exceed (nearest rank): one that was seen.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no value was measured")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def ratio(ours: Sequence[float], peer: Sequence[float]) -> Figure | None:
    """Ours divided by the peer's, round by round: what slows the machine for a while slows both of a round.

    Returns:
        None where a round of the peer's is zero.
    """
    pairs = list(zip(ours, peer, strict=True))
    if not all(theirs for _, theirs in pairs):
        return None
    return Figure.of([mine / theirs for mine, theirs in pairs])
