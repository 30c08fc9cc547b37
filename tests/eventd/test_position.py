"""Where a host goes on, and what it is told before: a table, and a model of hosts that come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.journal.runs import Run
from guestmux_eventd.position import Kept, Loss, Plan, Since, left_behind, plan

CLEAN = Run("a", 1, 10, 10)
CRASHED = Run("b", 11, 15, 30)
PRESENT = Run("c", 31, None, 30)
RUNS = (CLEAN, CRASHED, PRESENT)

FRESH = Kept(RUNS, 31, 40)
"""All of the present run is in memory."""

MOVED_ON = Kept(RUNS, 36, 40)
"""Memory has lost the present run's first events."""

ALONE = Kept((PRESENT,), 36, 40, stored=False)
"""There is no journal on disk."""


def unstored(first: int, last: int, reason: str, stands: Since) -> Loss:
    return Loss(first, last, reason, stands, unstored=True)  # type: ignore[arg-type]


TABLE = {
    "it has everything": (FRESH, Since("c", 40), Plan(40)),
    "it has some of the present run": (FRESH, Since("c", 33), Plan(33)),
    "it has nothing of the present run": (FRESH, Since("c", 30), Plan(30)),
    "any number below the run's first is its beginning": (FRESH, Since("c", 0), Plan(30)),
    "memory has moved on": (
        MOVED_ON,
        Since("c", 33),
        Plan(33, (unstored(34, 35, "slow-reader", Since("c", 33)),)),
    ),
    "memory has just not moved on": (MOVED_ON, Since("c", 35), Plan(35)),
    "it has all of the crashed run that was stored": (FRESH, Since("b", 15), Plan(15)),
    "it has heard what the crash took": (FRESH, Since("b", 20), Plan(20)),
    "it has heard the last that the crash can have taken": (FRESH, Since("b", 30), Plan(30)),
    "it has some of the crashed run": (
        FRESH,
        Since("b", 12),
        Plan(12, (unstored(13, 15, "restart", Since("b", 12)),)),
    ),
    "it has the first run, which ended where the second begins": (
        FRESH,
        Since("a", 10),
        Plan(10, (unstored(11, 15, "restart", Since("b", 10)),)),
    ),
    "and memory has moved on": (
        MOVED_ON,
        Since("a", 3),
        Plan(3, (unstored(4, 35, "restart", Since("a", 3)),)),
    ),
    "the disk was rolled back, in the crashed run": (
        FRESH,
        Since("b", 31),
        Plan(30, (Loss(0, 30, "rolled-back", Since("c", 30)),)),
    ),
    "the disk was rolled back, in the run that ended": (
        FRESH,
        Since("a", 11),
        Plan(
            10,
            (Loss(0, 10, "rolled-back", Since("b", 10)), unstored(11, 15, "restart", Since("b", 10))),
        ),
    ),
    "it was there in a run without events": (
        Kept((CLEAN, Run("i", 11, 10, 10), Run("j", 11, 10, 10), Run("k", 11, None, 10)), 11, 12),
        Since("i", 10),
        Plan(10),
    ),
    "memory was rolled back": (FRESH, Since("c", 41), Plan(40, needs_new_run=True)),
    "nobody knows the epoch": (
        FRESH,
        Since("x", 7),
        Plan(0, (Loss(0, 0, "new-epoch", Since("a", 0)), unstored(1, 15, "restart", Since("a", 0)))),
    ),
    "without a journal it has everything": (ALONE, Since("c", 35), Plan(35)),
    "without a journal all that memory has not is gone": (
        ALONE,
        Since("c", 33),
        Plan(35, (Loss(34, 35, "slow-reader", Since("c", 35)),)),
    ),
    "without a journal an epoch is unknown": (
        ALONE,
        Since("b", 12),
        Plan(35, (Loss(0, 35, "new-epoch", Since("c", 35)),)),
    ),
    "without a journal memory was rolled back": (ALONE, Since("c", 41), Plan(40, needs_new_run=True)),
}


@pytest.mark.parametrize(("kept", "since", "expected"), TABLE.values(), ids=TABLE.keys())
def test_what_a_host_is_told(kept: Kept, since: Since, expected: Plan) -> None:
    assert plan(kept, since) == expected


def test_a_reader_that_memory_leaves_behind_is_told_like_one_that_comes_back() -> None:
    assert left_behind(MOVED_ON, 33) == plan(MOVED_ON, Since("c", 33))
    assert left_behind(ALONE, 33) == plan(ALONE, Since("c", 33))
    assert left_behind(MOVED_ON, 12).losses[0].reason == "restart"


def test_after_a_new_run_the_rest_is_told() -> None:
    """The run that was rolled back has ended where memory was; what the host had of it is another history's."""
    kept = Kept((*RUNS[:2], Run("c", 31, 40, 40), Run("d", 41, None, 40)), 31, 40)
    assert plan(kept, Since("c", 41)) == Plan(40, (Loss(0, 40, "rolled-back", Since("d", 40)),))


@st.composite
def histories(draw: st.DrawFn) -> Kept:
    runs: list[Run] = []
    first = draw(st.integers(1, 5))
    for number in range(draw(st.integers(0, 4))):
        last = first + draw(st.integers(-1, 5))
        bound = last + draw(st.sampled_from([0, 0, 3]))
        runs.append(Run(f"{number}", first, last, bound))
        first = bound + 1
    last = first + draw(st.integers(-1, 8))
    runs.append(Run("present", first, None, last))
    return Kept(runs, draw(st.integers(first, last + 1)), last, draw(st.booleans()))


@given(
    kept=histories(),
    epoch=st.sampled_from(["0", "1", "2", "3", "present", "unknown"]),
    seq=st.integers(0, 60),
)
def test_every_number_is_heard_or_lost_and_where_it_stands_is_a_position(
    kept: Kept, epoch: str, seq: int
) -> None:
    """Whoever goes on from the end of a notice hears the same as who goes on hearing."""
    told = plan(kept, Since(epoch, seq))
    if told.needs_new_run:
        assert (epoch, seq > kept.last) == ("present", True)
        return
    known = {run.epoch: run for run in kept.runs}
    reached = max(seq, known[epoch].first - 1) if epoch in known else 0
    for loss in told.losses:
        assert loss.first <= loss.last
        # Without a hole: nothing lies between what it has and what is lost, nor between two losses.
        assert loss.first <= reached + 1
        assert loss.stands.seq <= told.after
        again = plan(kept, loss.stands)
        assert again.after == told.after
        assert not [more for more in again.losses if not more.unstored]
        if not loss.unstored:
            assert loss.stands.seq == loss.last
            reached = loss.last
    assert told.after <= max(reached, seq) or told.losses
    # What follows is in the journal or in memory, or an unstored loss names it.
    if told.after < kept.first - 1:
        assert kept.stored
