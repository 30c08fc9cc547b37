"""The journal on disk: what was stored is there after whatever happened, or a gap has its number."""

import sqlite3
from pathlib import Path

import pytest

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal import gaps, runs
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.runs import RESERVED, Run
from guestmux_eventd.journal.told import ToldTable
from tests.support.journals import (
    Wall,
    copied,
    event,
    events,
    everything,
    log_bytes,
    numbers,
    opened,
    place,
    same,
)


def test_what_was_stored_is_read_with_all_its_parts(tmp_path: Path) -> None:
    items = events([1, 2, 5])
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(items)
        assert all(map(same, everything(store), items))
        assert numbers(store.read(1, 4, 10)) == [2]
        assert numbers(store.read(1, 5, 1)) == [2]
        assert numbers(store.read(5, 9, 10)) == []


def test_numbers_go_on_after_a_clean_end(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1, 2]))
        store.end(7)
    with opened(place(tmp_path / "j")) as store:
        assert store.next == 8
        store.begin("b", 8)
        store.append(events([9]))
        assert numbers(everything(store)) == [1, 2, 9]
        assert store.runs == (Run("a", 1, 7, 7), Run("b", 8, None, 7 + RESERVED))


def test_a_run_without_events_is_remembered(tmp_path: Path) -> None:
    """A host that came in it has its epoch, and begins where the next run does."""
    for epoch in "abc":
        with opened(place(tmp_path / "j")) as store:
            store.begin(epoch, store.next)
            store.end(0)
    with opened(place(tmp_path / "j")) as store:
        assert store.runs == (Run("a", 1, 0, 0), Run("b", 1, 0, 0), Run("c", 1, 0, 0))


def test_after_a_crash_what_may_have_been_is_a_gap(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1, 2]))
    with opened(place(tmp_path / "j")) as store:
        assert store.next == RESERVED + 1
        store.begin("b", store.next)
        assert numbers(everything(store)) == [1, 2, (3, RESERVED, "crash")]
        assert store.runs[0] == Run("a", 1, 2, RESERVED)


def test_a_run_that_stored_nothing_crashes_as_well(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
    with opened(place(tmp_path / "j")) as store:
        store.begin("b", store.next)
        assert numbers(everything(store)) == [(1, RESERVED, "crash")]


def test_numbers_are_reserved_far_ahead_of_what_is_stored(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.reserve(RESERVED // 2)
        assert store.next == RESERVED + 1
        store.reserve(RESERVED)
        assert store.next == 2 * RESERVED + 1
        store.append(events([2 * RESERVED]))
        assert store.next == 3 * RESERVED + 1


def test_a_journal_that_was_closed_meanwhile_goes_on_with_its_run(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1, 2]))
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1, reached=2)
        store.append(events([1, 2, 3]))
        assert numbers(everything(store)) == [1, 2, 3]


def test_what_the_run_had_stored_and_is_not_there_is_a_gap(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 11, reached=15)
        store.append(events([16]))
        assert numbers(everything(store)) == [(11, 15, "not-stored"), 16]


def test_a_run_that_ends_within_a_process_gives_back_the_numbers_it_did_not_use(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1]))
        store.begin("b", 5)
        store.append(events([5]))
        assert numbers(everything(store)) == [1, (2, 4, "crash"), 5]


def test_gaps_stand_where_they_are_and_adjacent_ones_are_one(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append([Gap(1, 2, "overload"), Gap(4, 5, "overload"), event(6), Gap(7, 8, "overload")])
        store.append([Gap(9, 9, "not-stored"), event(10), event(11)])
        expected = [(1, 5, "overload"), 6, (7, 8, "overload"), (9, 9, "not-stored"), 10, 11]
        assert numbers(everything(store, limit=1)) == expected
        assert numbers(everything(store)) == expected
        assert numbers(store.read(1, 7, 10)) == [(2, 5, "overload"), 6, (7, 7, "overload")]


def test_too_large_an_event_is_a_gap(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append([event(1), event(2, size=MIN_BYTES // 16), event(3)])
        assert numbers(everything(store)) == [1, (2, 2, "not-stored"), 3]


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j", bounds=Bounds(bytes=MIN_BYTES, events=64))) as store:
        store.begin("a", 1)
        for number in range(1, 1000, 3):
            store.append(events([number]))
            assert len(store.read(store.expired, 1 << 53, 100)) <= 64
        gap, *rest = numbers(everything(store))
        assert gap == (1, store.expired, "expired")
        assert rest == list(range(store.expired + 3, 1000, 3))


@pytest.mark.parametrize("size", [0, 900, 1500, 2100, 3000, 5000, 30000])
def test_the_file_with_its_log_never_is_above_its_bound(tmp_path: Path, size: int) -> None:
    directory = place(tmp_path / "j")
    high = 0
    with opened(directory) as store:
        store.begin("a", 1)
        for begun in range(1, 6 * MIN_BYTES // (size + 100), 100):
            store.append(events(range(begun, begun + 100), size=size))
            high = max(high, directory.files.size())
        kept = sum(len(item.data) for item in everything(store, store.expired) if not isinstance(item, Gap))
    assert high <= MIN_BYTES
    # The bound is used, if only half of each page where the events are just larger than that.
    assert kept > MIN_BYTES * 0.28


def test_a_bound_that_was_lowered_makes_the_file_smaller(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j", bounds=Bounds(bytes=8 * MIN_BYTES))) as store:
        store.begin("a", 1)
        store.append(events(range(1, 5000), size=900))
    smaller = place(tmp_path / "j")
    with opened(smaller) as store:
        assert smaller.files.size() <= MIN_BYTES
        gap, *rest = numbers(everything(store))
        assert gap == (1, store.expired, "expired")
        assert rest == list(range(store.expired + 1, 5000))
        assert len(rest) > 300


def test_age_is_a_bound_as_well(tmp_path: Path) -> None:
    wall = Wall()
    with opened(place(tmp_path / "j", bounds=Bounds(seconds=60), wall=wall)) as store:
        store.begin("a", 1)
        store.append([event(1, time=wall.time), event(2, time=wall.time + 50)])
        wall.time += 59
        assert numbers(everything(store)) == [1, 2]
        wall.time += 2
        assert numbers(everything(store)) == [(1, 1, "expired"), 2]
        wall.time += 1000
        assert numbers(everything(store)) == [(1, 2, "expired")]


def test_a_clock_that_was_wrong_for_a_while_takes_only_what_is_oldest(tmp_path: Path) -> None:
    wall = Wall()
    with opened(place(tmp_path / "j", bounds=Bounds(seconds=60), wall=wall)) as store:
        store.begin("a", 1)
        store.append([event(1, time=wall.time), event(2, time=0), event(3, time=wall.time)])
        assert numbers(everything(store)) == [1, 2, 3]


def test_gaps_and_runs_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "MAX_GAPS", 3)
    monkeypatch.setattr(runs, "MAX_RUNS", 3)
    directory = place(tmp_path / "j")
    for epoch in "abcdef":
        with opened(directory) as store:
            store.begin(epoch, store.next)
            store.append([event(store.runs[-1].first)])
    with opened(directory) as store:
        assert [run.epoch for run in store.runs] == ["d", "e", "f"]
        assert store.expired == 2 * RESERVED
        found = numbers(everything(store))
        assert found[:2] == [(1, 2 * RESERVED, "expired"), 2 * RESERVED + 1]
        assert len(found) == 1 + 4 + 3


def test_another_machine_has_another_history(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1, 2]))
    copied(tmp_path / "j", tmp_path / "clone")
    with opened(place(tmp_path / "clone", machine="clone")) as store:
        assert (store.next, store.runs, everything(store)) == (1, (), [])
    assert "another machine" in caplog.text
    assert b"SESSION_LOGIN" not in (tmp_path / "clone" / "journal.sqlite").read_bytes()
    with opened(place(tmp_path / "j")) as store:
        assert numbers(everything(store)) == [1, 2]


def test_a_disk_that_was_rolled_back_gives_no_number_of_its_history_twice(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1, 2]))
        copied(tmp_path / "j", tmp_path / "snapshot")
        store.append(events([3, 4]))
    with opened(place(tmp_path / "snapshot")) as store:
        store.begin("b", store.next)
        assert store.runs[-1].first > 4
        assert numbers(everything(store)) == [1, 2, (3, RESERVED, "crash")]


def test_a_power_cut_takes_the_end_and_names_it(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1]))
        durable = log_bytes(tmp_path / "j")
        store.append(events([2]))
        cut = copied(tmp_path / "j", tmp_path / "cut", log_bytes=durable + 10)
    with opened(place(cut)) as store:
        store.begin("b", store.next)
        assert numbers(everything(store)) == [1, (2, RESERVED, "crash")]


def test_no_memory_is_shared_with_others(tmp_path: Path) -> None:
    """A page of `-shm` that must be written would stop the thread in the middle of nothing, were its disk frozen."""
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        assert sorted(path.name for path in (tmp_path / "j").iterdir()) == [
            "journal.sqlite",
            "journal.sqlite-wal",
        ]
        assert all((path.stat().st_mode & 0o777) == 0o600 for path in (tmp_path / "j").iterdir())


def told(seq: int, key: str, text: bytes | None) -> Entry:
    return event(seq, change=(key, text))


def test_what_was_told_and_holds_is_stored_with_the_events_that_say_so(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        assert store.told == []
        store.append([told(1, "a", b"1"), told(2, "b", b"1"), event(3), told(4, "a", b"2")])
        store.append([told(5, "b", None), told(6, "c", None)])
        assert store.told == [("a", b"2")]
    with opened(place(tmp_path / "j")) as store:
        assert store.told == [("a", b"2")]


def test_it_outlives_the_events(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j", bounds=Bounds(bytes=MIN_BYTES, events=2))) as store:
        store.begin("a", 1)
        store.append([told(1, "a", b"1"), event(2)])
        store.append(events([3, 4]))
        assert numbers(everything(store)) == [(1, 2, "expired"), 3, 4]
        assert store.told == [("a", b"1")]


def test_a_transaction_that_fails_changes_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError

    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append([told(1, "a", b"1")])
        monkeypatch.setattr(ToldTable, "change", fail)
        with pytest.raises(JournalFault):
            store.append([told(2, "a", b"2")])
        monkeypatch.undo()
        assert (numbers(everything(store)), store.told) == ([1], [("a", b"1")])
        store.append([told(2, "a", b"2")])
        assert (numbers(everything(store)), store.told) == ([1, 2], [("a", b"2")])


def test_it_can_be_said_as_a_whole(tmp_path: Path) -> None:
    rows = [(f"key {number:03}", b"x" * number) for number in range(150)]
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append([told(1, "a", b"1")])
        store.stand(rows)
        assert store.told == rows
        store.stand(rows)
        assert store.told == rows
        store.stand([])
        assert store.told == []


def test_where_the_bound_was_lowered_below_it_is_forgotten(tmp_path: Path) -> None:
    rows = [(f"key {number}", b"x" * 1000) for number in range(60)]
    with opened(place(tmp_path / "j", bounds=Bounds(bytes=4 * MIN_BYTES))) as store:
        store.begin("a", 1)
        store.stand(rows)
        store.append(events([1]))
    with opened(place(tmp_path / "j")) as store:
        assert (numbers(everything(store)[:1]), store.told) == ([1], [])


def test_a_row_that_was_turned_over_is_found_when_it_is_opened(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append([told(1, "a", b"1")])
        store._connection.execute("UPDATE told SET data = x'32'")
    with opened(place(tmp_path / "j")) as store:
        assert (store.told, store.next) == ([], 1)
    assert (tmp_path / "j" / "journal.sqlite.corrupt").exists()


def test_there_is_room_for_as_much_of_it_as_there_may_be(tmp_path: Path) -> None:
    """Also where the journal is full of events."""
    at = place(tmp_path / "j", bounds=Bounds(bytes=MIN_BYTES))
    text = b"x" * 300
    with opened(at) as store:
        store.begin("a", 1)
        for begun in range(1, 12_000, 400):
            store.append([event(seq, size=100) for seq in range(begun, begun + 400)])
        keys = [f"session {number * 7919 % 1000:04}" for number in range(at.told_bytes // 320)]
        store.append([told(20_000 + number, key, text) for number, key in enumerate(keys)])
        store.stand([(f"{key}x", text) for key in keys])
        store.append([event(seq, size=100) for seq in range(30_000, 30_400)])
        assert len(store.told) == len(keys)
        assert at.files.size() <= MIN_BYTES
