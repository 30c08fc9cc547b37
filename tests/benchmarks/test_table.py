"""The table that is printed, and its JSON."""

import json

import pytest

from benchmarks.core.figures import Figure
from benchmarks.core.rounds import Measure, Row
from benchmarks.core.table import HEADINGS, as_json, cells, number, plain, show, spread

ROW = Row(
    "ping",
    Measure("p50", "µs"),
    "eventd",
    Figure(10.0, 5.0, 12345.6),
    "qemu-ga",
    Figure(0.0, 0.0, 0.0),
    None,
)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.126, "0.13"), (9.994, "9.99"), (12.34, "12.3"), (54321.5, "54,322")]
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_row_says_which_way_is_better_and_that_there_is_no_ratio() -> None:
    assert cells(ROW) == (
        "ping",
        "p50 ↓",
        "eventd",
        "10.0 (5.00–12,346) µs",
        "qemu-ga",
        "0 (0–0) µs",
        "–",
    )
    assert spread(Figure(1.5, 1.25, 2.0)) == "1.50 (1.25–2.00)"


def test_columns_are_aligned() -> None:
    head, line = plain([HEADINGS, cells(ROW)]).splitlines()
    assert head.index("peer") == line.index("qemu-ga")


def test_where_there_is_no_terminal_it_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    show([ROW])
    assert capsys.readouterr().out == plain([HEADINGS, cells(ROW)]) + "\n"


def test_the_json_has_everything() -> None:
    assert json.loads(json.dumps(as_json(ROW))) == {
        "benchmark": "ping",
        "measure": {"name": "p50", "unit": "µs", "more_is_better": False},
        "ours_name": "eventd",
        "ours": {"median": 10.0, "low": 5.0, "high": 12345.6},
        "peer_name": "qemu-ga",
        "peer": {"median": 0.0, "low": 0.0, "high": 0.0},
        "ratio": None,
    }
