"""The statistics of the benchmarks."""

import pytest

from benchmarks.core.figures import Figure, percentile, ratio


def test_a_figure_is_the_median_with_the_extremes() -> None:
    assert Figure.of([5.0, 1.0, 3.0]) == Figure(3.0, 1.0, 5.0)
    assert Figure.of([1.0, 2.0]) == Figure(1.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (1, 1.0), (50, 50.0), (50.1, 51.0), (99, 99.0), (100, 100.0)]
)
def test_a_percentile_is_a_value_that_was_seen(percent: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], percent) == value


def test_of_one_value_every_percentile_is_that() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


def test_ratios_are_of_the_same_round() -> None:
    # A machine twice as slow in the second round changes nothing.
    assert ratio([1.0, 2.0], [2.0, 4.0]) == Figure(0.5, 0.5, 0.5)


def test_there_is_no_ratio_to_zero() -> None:
    assert ratio([1.0, 1.0], [1.0, 0.0]) is None
    assert ratio([0.0], [2.0]) == Figure(0.0, 0.0, 0.0)


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="measured"):
        Figure.of([])
    with pytest.raises(ValueError, match="measured"):
        percentile([], 50)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])
