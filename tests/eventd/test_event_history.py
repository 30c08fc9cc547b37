"""Log and journal as one: numbers go on, runs begin, the disk is left alone, and what is wrong with it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from guestmux_eventd import event_history
from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.runs import RESERVED
from guestmux_eventd.journal.store import JournalStore
from guestmux_eventd.journal.writer import RETRY_SECONDS
from guestmux_eventd.position import Loss, Since
from guestmux_eventd.refusal import CommandFailure
from tests.support.event_guests import EventGuest
from tests.support.feeds import Feeds
from tests.support.journals import numbers, opened, place

pytestmark = pytest.mark.anyio

LOGIN, FOCUSED = "SESSION_LOGIN", "APP_FOCUSED"


@asynccontextmanager
async def running(directory: Path, epoch: str = "e", *, ring: int = 3) -> AsyncIterator[EventGuest]:
    guest = EventGuest(directory, epoch, ring=ring)
    await guest.start()
    try:
        yield guest
    finally:
        await guest.end()


async def test_numbers_go_on_over_a_clean_end(tmp_path: Path) -> None:
    async with running(tmp_path / "j", "a") as guest:
        await guest.append(LOGIN)
        await guest.append(FOCUSED)
    async with running(tmp_path / "j", "b") as guest:
        assert (guest.log.first, guest.log.last) == (3, 2)
        assert await guest.append(LOGIN) == 3
        assert [guest.history.epoch_at(seq) for seq in (0, 1, 2, 3)] == ["a", "a", "b", "b"]
        assert numbers(await guest.history.read(0, 3)) == [1, 3]
        plan = guest.history.plan(Since("a", 1))
        assert (plan.after, plan.losses) == (1, (Loss(2, 2, "restart", Since("a", 1), unstored=True),))


async def test_numbers_are_not_used_again_after_a_crash(tmp_path: Path) -> None:
    async with running(tmp_path / "j", "a") as guest:
        await guest.append(LOGIN)
        left = await guest.crash(tmp_path / "left")
    async with running(left, "b") as guest:
        assert guest.log.first == RESERVED + 1
        assert numbers(await guest.history.read(0, RESERVED)) == [1, (2, RESERVED, "crash")]


async def test_another_machine_has_no_history(tmp_path: Path) -> None:
    async with running(tmp_path / "j", "a") as guest:
        await guest.append(LOGIN)
    guest = EventGuest(tmp_path / "j", "b", machine="another")
    await guest.start()
    assert guest.log.first == 1
    assert guest.history.plan(Since("a", 1)).losses == (Loss(0, 0, "new-epoch", Since("b", 0)),)
    await guest.end()


async def test_a_host_of_another_history_has_the_numbers_go_on_in_another_run(tmp_path: Path) -> None:
    """Memory that was set back a second time knows nothing of the run that its hosts are in since the first time."""
    async with running(tmp_path / "j", "a") as guest:
        await guest.append(LOGIN)
        plan = guest.history.plan(Since("begun when it was set back", 3))
        assert plan.losses == (Loss(0, 0, "new-epoch", Since("a", 0)),)
        begun = guest.log.epoch
        assert begun != "a"
        assert [guest.history.epoch_at(seq) for seq in (0, 1)] == ["a", begun]
        # Nobody has a number of that run, so it need not end for the next one.
        guest.history.plan(Since("of another one", 3))
        assert guest.log.epoch == begun


async def test_many_hosts_of_other_histories_do_not_fill_the_journal_with_runs(tmp_path: Path) -> None:
    async with running(tmp_path / "j", "a") as guest:
        epochs = set()
        for number in range(10):
            await guest.append(LOGIN)
            assert guest.history.plan(Since(f"{number}", 3)).losses[0].reason == "new-epoch"
            epochs.add(guest.log.epoch)
        assert len(epochs) == event_history.RUNS_AT_ONCE


async def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        for _ in range(6):
            await guest.append(LOGIN)
        assert numbers(await guest.history.read(1, 5, 2)) == [2, 3]
        assert numbers(await guest.history.read(1, 5, 1 << 20)) == [2, 3, 4, 5]
        assert await guest.history.read(6, 9) == []


async def test_nor_of_what_a_full_disk_did_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path / "j") as guest:
        await guest.append(LOGIN)
        monkeypatch.setattr(JournalStore, "append", _full)
        for _ in range(6):
            await guest.append(LOGIN)
        assert numbers(await guest.history.read(0, 7, 3)) == [1, 2, 3]
        assert numbers(await guest.history.read(3, 7, 3)) == [4, 5, 6]
        monkeypatch.undo()


def _full(*_: object) -> None:
    raise JournalFault("full", "no room left")


async def test_without_a_journal_only_memory_is_there() -> None:
    history = Feeds(EventLog("e", lambda: 0.0, max_events=2)).history
    for _ in range(5):
        history.log.append(LOGIN, {}, "verified")
    assert (history.state, history.fault) == ("off", None)
    assert history.left_behind(1).losses == (Loss(2, 3, "slow-reader", Since("e", 3)),)
    assert await history.read(1, 3) == [Gap(2, 3, "slow-reader")]
    await history.start()
    await history.pause()
    history.follow_freeze(True)
    await history.close()
    assert history.log.last == 5


async def test_a_position_beyond_begins_a_run_as_often_as_nobody_can_make_use_of(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        await guest.append(LOGIN)
        epochs = {"e"}
        for _ in range(int(event_history.RUNS_AT_ONCE)):
            plan = guest.history.plan(Since(guest.log.epoch, 9))
            assert plan.losses == (Loss(0, 1, "rolled-back", Since(guest.log.epoch, 1)),)
            epochs.add(guest.log.epoch)
        assert len(epochs) == 5
        with pytest.raises(CommandFailure):
            guest.history.plan(Since(guest.log.epoch, 9))
        assert guest.history.plan(Since("e", 1)).losses == ()
        assert await guest.append(LOGIN) == 2
        last = guest.log.epoch
    async with running(tmp_path / "j", "b") as guest:
        assert {run.epoch for run in guest.history._kept().runs} == epochs | {"b"}
        assert guest.history.plan(Since(last, 2)).losses == ()


async def test_what_is_wrong_is_told_and_when_it_is_over(tmp_path: Path) -> None:
    states = []
    async with running(tmp_path / "j", "a"):
        pass
    with opened(place(tmp_path / "j")):
        guest = EventGuest(tmp_path / "j", "b")
        guest.history.watch(lambda: states.append(guest.history.state))
        await guest.start()
        await guest.settle()
        guest.disk_time.time += RETRY_SECONDS
        await guest.append(LOGIN)
        assert states == ["locked"]
        assert str(guest.history.fault).endswith("another process has it open (database is locked)")
    guest.disk_time.time += RETRY_SECONDS
    await guest.append(LOGIN)
    assert states[-1] == "ok"
    assert guest.history.fault is None
    await guest.end()


async def test_while_it_is_frozen_no_file_is_touched_and_what_happens_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        await guest.append(LOGIN)
        await guest.freeze()
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "j").iterdir()}
        for _ in range(6):
            await guest.append(LOGIN)
        found: list[list[int | tuple[int, int, str]]] = []

        async def read() -> None:
            found.append(numbers(await guest.history.read(0, 7)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert {path: path.stat().st_mtime_ns for path in (tmp_path / "j").iterdir()} == before
            assert not found
            await guest.thaw()
        assert found == [[1, 2, 3, 4, 5, 6, 7]]


async def test_a_disk_that_hangs_through_a_freeze_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "j") as guest:
        await guest.append(LOGIN)
        guest.stall()
        monkeypatch.setattr(event_history, "READ_SECONDS", 0.0)
        found: list[object] = []

        async def read() -> None:
            found.extend(await guest.history.read(0, 1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            # The read is under way; the freeze begins in its middle.
            await anyio.lowlevel.checkpoint()
            guest.history.follow_freeze(True)
            await anyio.wait_all_tasks_blocked()
            assert not found
            monkeypatch.setattr(event_history, "READ_SECONDS", 20.0)
            guest.history.follow_freeze(False)
            await guest.go_on()
        assert isinstance(found[0], Entry)


async def test_an_end_while_it_is_frozen_hangs_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "j") as guest:
        await guest.freeze()
        await guest.history.close()
        assert "the journal's file system is frozen" in caplog.text
