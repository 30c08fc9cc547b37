"""Whose turn it is, and the rows that come of it."""

from collections.abc import Mapping

from benchmarks.core.figures import Figure
from benchmarks.core.rounds import FULL, QUICK, Measure, Row, Scale, Side, take_turns

SPEED = Measure("speed", "/s", more_is_better=True)


class Recorder:
    """Sides that note when they were measured, and give the values that they were given."""

    def __init__(self, values: Mapping[str, list[float]]) -> None:
        self.turns: list[str] = []
        self._values = {name: iter(given) for name, given in values.items()}

    def side(self, name: str) -> Side:
        def measure() -> dict[str, float]:
            self.turns.append(name)
            return {"speed": next(self._values[name])}

        return measure


def test_the_sides_take_turns_and_the_first_round_is_dropped() -> None:
    recorder = Recorder({"a": [99.0, 2.0, 4.0], "b": [99.0, 1.0, 8.0]})
    rounds = take_turns("race", {"a": recorder.side("a"), "b": recorder.side("b")}, 2)
    assert recorder.turns == ["a", "b"] * 3
    assert rounds.rows([SPEED], "a", "b") == [
        Row("race", SPEED, "a", Figure(3.0, 2.0, 4.0), "b", Figure(4.5, 1.0, 8.0), Figure(1.25, 0.5, 2.0))
    ]


def test_without_warming_up_every_round_counts() -> None:
    recorder = Recorder({"a": [1.0, 3.0]})
    (row,) = take_turns("race", {"a": recorder.side("a")}, 2, warm_up=False).rows([SPEED], "a", "a")
    assert row.ours == Figure(2.0, 1.0, 3.0)
    assert row.ratio == Figure(1.0, 1.0, 1.0)


def test_a_scale_never_measures_next_to_nothing() -> None:
    assert Scale(rounds=9, share=0.5, seconds=1).count(1000) == 500
    assert Scale(rounds=9, share=0.001, seconds=1).count(1000) == 20
    assert FULL.few() >= QUICK.few() >= 2
