"""The journal as the loop has it: it stores, reads, pauses and ends, and whatever the disk does the loop goes on."""

import logging
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from guestmux_eventd.journal import journal as module
from guestmux_eventd.journal import queue, writer
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.journal import Journal
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.runs import RESERVED, Run
from guestmux_eventd.journal.store import Item, JournalStore, last_of
from guestmux_eventd.position import Kept, Since, plan
from tests.support.disks import Disks, mounted_disks
from tests.support.journals import PARTS, SMALL, Wall, event, fill, mounted_memory, numbers, place

pytestmark = pytest.mark.anyio


class Now:
    """A clock that only goes forward, when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@asynccontextmanager
async def running(
    directory: Path, epoch: str = "a", *, bounds: Bounds = SMALL, last: int = 1000, now: Now | None = None
) -> AsyncIterator[Journal]:
    """A journal between its start and its end, whose thread has ended, too."""
    journal = Journal(place(directory, bounds=bounds), now=now or Now(), batch_seconds=0)
    await journal.start(epoch)
    try:
        yield journal
    finally:
        journal.resume()
        await journal.close(last)
        await anyio.to_thread.run_sync(journal._thread.join)


def kind(journal: Journal) -> str | None:
    """What is wrong."""
    return journal.fault.kind if journal.fault else None


async def everything(journal: Journal, after: int = 0) -> list[int | tuple[int, int, str]]:
    items: list[Item] = []
    while more := await journal.read(after, 1 << 53, 100):
        items += more
        after = last_of(more[-1])
    return numbers(items)


async def test_what_is_appended_can_be_read_at_once_and_after_the_end(tmp_path: Path) -> None:
    async with running(tmp_path / "j", last=10) as journal:
        for number in (1, 2, 5):
            journal.append(event(number))
        assert await everything(journal) == [1, 2, 5]
        assert journal.fault is None
    async with running(tmp_path / "j", "b") as journal:
        assert await everything(journal) == [1, 2, 5]
        assert journal.kept(11, 10) == Kept((Run("a", 1, 10, 10), Run("b", 11, None, 10)), 11, 10)


async def test_ten_thousand_at_once(tmp_path: Path) -> None:
    async with running(tmp_path / "j", bounds=Bounds()) as journal:
        for number in range(1, 10_001):
            journal.append(event(number))
        assert await everything(journal) == list(range(1, 10_001))


async def test_numbers_of_events_that_are_not_stored_are_not_used_again(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as journal:
        journal.numbered(RESERVED - 1)
        await journal.read(0, 1, 1)
        leave(journal)
    async with running(tmp_path / "j", "b") as journal:
        assert journal.kept(1, 1).present.first == 2 * RESERVED


def leave(journal: Journal) -> None:
    """Make an end like a crash: whatever close does, the run is not ended."""
    journal._writer._run, journal._writer._begun = None, False


async def test_after_a_crash_a_host_is_told_once_what_may_be_gone(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as journal:
        journal.append(event(1))
        assert await everything(journal) == [1]
        leave(journal)
    async with running(tmp_path / "j", "b") as journal:
        kept = journal.kept(RESERVED + 1, RESERVED)
        told = plan(kept, Since("a", 1))
        assert (told.after, told.losses) == (1, ())
        assert await everything(journal, told.after) == [(2, RESERVED, "crash")]


async def test_a_new_run_within_the_process(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as journal:
        journal.append(event(1))
        journal.begin("b", 6)
        journal.append(event(6))
        assert await everything(journal) == [1, 6]
        assert journal.kept(1, 6).runs == (Run("a", 1, 5, 5), Run("b", 6, None, 5))
    async with running(tmp_path / "j", "c") as journal:
        assert [run.epoch for run in journal.kept(1, 1).runs] == ["a", "b", "c"]


async def test_while_it_is_paused_no_file_changes(tmp_path: Path) -> None:
    def content() -> list[bytes]:
        return [(tmp_path / "j" / part).read_bytes() for part in PARTS]

    async with running(tmp_path / "j") as journal:
        journal.append(event(1))
        assert await journal.pause()
        before = content()
        for number in range(2, 5000):
            journal.append(event(number))
        async with anyio.create_task_group() as tasks:
            found: list[int | tuple[int, int, str]] = []

            async def read() -> None:
                found.extend(await everything(journal))

            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert (found, content()) == ([], before)
            journal.resume()
        assert found == list(range(1, 5000))


async def test_a_thaw_before_the_pause_has_come_to_pass(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as journal:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.pause)
            await anyio.lowlevel.checkpoint()
            journal.resume()
        journal.append(event(1))
        assert await everything(journal) == [1]


async def test_more_than_the_queue_holds_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_QUEUED", 10)
    async with running(tmp_path / "j") as journal:
        await journal.pause()
        for number in range(1, 31):
            journal.append(event(number))
        assert len(journal._queue._waiting) == 10
        journal.resume()
        assert await everything(journal) == [*range(1, 11), (11, 30, "overload")]
        journal.append(event(31))
        assert (await everything(journal))[-1] == 31


async def test_more_bytes_than_the_queue_holds_are_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_QUEUED_BYTES", 10_000)
    async with running(tmp_path / "j") as journal:
        await journal.pause()
        for number in range(1, 5):
            journal.append(event(number, size=4000))
        journal.resume()
        assert await everything(journal) == [1, 2, (3, 4, "overload")]
        journal.append(event(5, size=4000))
        assert (await everything(journal))[-1] == 5


def test_a_full_queue_names_a_gap_once_it_has_room() -> None:
    """Neither for every other event, nor only with the next order."""
    full = queue.JournalQueue()
    for number in range(1, queue.MAX_QUEUED + 101):
        full.put(event(number))
    assert len(full.take(queue.MAX_QUEUED // 2)[0]) == queue.MAX_QUEUED // 2
    full.put(event(queue.MAX_QUEUED + 101))
    full.take(1)
    full.put(event(queue.MAX_QUEUED + 102))
    rest, order = full.take(queue.MAX_QUEUED)
    assert order is None
    assert numbers(rest[-2:]) == [
        (queue.MAX_QUEUED + 1, queue.MAX_QUEUED + 101, "overload"),
        queue.MAX_QUEUED + 102,
    ]


async def test_without_a_directory_it_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And begins as soon as there is one: numbers are what they were, nothing of it was lost."""
    now = Now()
    journal = Journal(JournalPlace(tmp_path / "j", "m", SMALL, Wall()), now=now, batch_seconds=0)
    assert await journal.start("a") == 1
    assert kind(journal) == "absent"
    assert not journal.kept(1, 0).stored
    assert "No such file or directory; events are kept in memory only" in caplog.text
    journal.append(event(1))
    with pytest.raises(JournalFault, match="No such file"):
        await journal.read(0, 1)
    (tmp_path / "j").mkdir(mode=0o700)
    with pytest.raises(JournalFault):
        await journal.read(0, 1)
    now.time += writer.RETRY_SECONDS
    journal.append(event(2))
    assert await everything(journal) == [1, 2]
    assert (kind(journal), journal.kept(1, 2).stored) == (None, True)
    await journal.close(2)
    await anyio.to_thread.run_sync(journal._thread.join)
    assert caplog.text.count("No such file") == 1


async def test_the_next_attempt_needs_no_event(tmp_path: Path) -> None:
    journal = Journal(JournalPlace(tmp_path / "j", "m", SMALL, Wall()), now=Now(), batch_seconds=0)
    journal._writer.patience = lambda: 0.001 if journal.fault else None  # type: ignore[method-assign]
    await journal.start("a")
    (tmp_path / "j").mkdir(mode=0o700)
    journal._writer._now = lambda: 1e9
    while journal.fault:
        await anyio.lowlevel.checkpoint()
    await journal.close(0)
    await anyio.to_thread.run_sync(journal._thread.join)


async def test_what_the_disk_did_not_take_for_long_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_HELD", 10)
    now = Now()
    place(tmp_path / "j")
    (tmp_path / "j").chmod(0o777)
    async with running(tmp_path / "j", now=now) as journal:
        for number in range(1, 31):
            journal.append(event(number))
        with pytest.raises(JournalFault, match="others may write"):
            await journal.read(0, 10)
        (tmp_path / "j").chmod(0o700)
        now.time += writer.RETRY_SECONDS
        assert await everything(journal) == [*range(1, 10), (10, 30, "not-stored")]


async def test_a_journal_in_use_is_waited_for_and_its_numbers_are_not_used_twice(tmp_path: Path) -> None:
    """Who begins at 1 in memory cannot go on in a journal that has been there already: it begins a run behind it."""
    now = Now()
    async with running(tmp_path / "j", "first", last=50) as first:
        first.append(event(1))
        await everything(first)
        second = Journal(place(tmp_path / "j"), now=now, batch_seconds=0)
        assert await second.start("second") == 1
        assert kind(second) == "locked"
    now.time += writer.RETRY_SECONDS
    second.append(event(2))
    with pytest.raises(JournalFault, match="has numbers up to 50 already"):
        await second.read(0, 10)
    assert second.collides == 51
    second.begin("third", second.collides)
    second.append(event(51))
    assert await everything(second) == [1, 51]
    assert (kind(second), second.collides) == (None, 0)
    assert [run.epoch for run in second.kept(1, 1).runs] == ["first", "third"]
    await second.close(51)
    await anyio.to_thread.run_sync(second._thread.join)


async def test_damage_that_is_found_while_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The journal is put aside; what it had of this run is a gap, and the run goes on with its numbers."""
    async with running(tmp_path / "j") as journal:
        for number in range(1, 4):
            journal.append(event(number))
        await everything(journal)
        damage_event(journal, 2)
        with pytest.raises(JournalFault, match="damaged"):
            await everything(journal)
        assert journal.fault is None
        journal.append(event(4))
        assert await everything(journal) == [(1, 3, "not-stored"), 4]
    assert "put aside" in caplog.text
    assert (tmp_path / "j" / "journal.sqlite.corrupt").exists()


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_file_that_is_taken_away_while_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """SQLite would go on writing into what nobody finds any more. A new one is begun, and says what it has not."""
    caplog.set_level(logging.INFO)
    file = tmp_path / "j" / "journal.sqlite"
    async with running(tmp_path / "j") as journal:
        for number in range(1, 4):
            journal.append(event(number))
        await everything(journal)
        if how == "removed":
            shutil.rmtree(file.parent)
            file.parent.mkdir(mode=0o700)
        else:
            file.unlink()
            file.touch(mode=0o600)
        journal.append(event(4))
        assert await everything(journal) == [(1, 3, "not-stored"), 4]
        assert journal.fault is None
    why = {"removed": "removed", "replaced": "another file took its place"}[how]
    assert caplog.messages == [
        f"{file}: {why} while it was in use; events are kept in memory only",
        f"{file}: events are stored again",
    ]
    async with running(tmp_path / "j", "b") as journal:
        assert await everything(journal) == [(1, 3, "not-stored"), 4]


async def test_a_directory_that_is_taken_away_while_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = Now()
    async with running(tmp_path / "j", now=now) as journal:
        journal.append(event(1))
        await everything(journal)
        shutil.rmtree(tmp_path / "j")
        journal.append(event(2))
        with pytest.raises(JournalFault, match="No such file"):
            await everything(journal)
        assert kind(journal) == "absent"
        (tmp_path / "j").mkdir(mode=0o700)
        now.time += writer.RETRY_SECONDS
        assert await everything(journal) == [(1, 1, "not-stored"), 2]
    assert caplog.text.count("kept in memory only") == 1


def damage_event(journal: Journal, number: int) -> None:
    """Change it behind the checksum's back, in the journal's own thread."""
    done = threading.Event()

    def change() -> None:
        assert journal._writer._store is not None
        journal._writer._store._connection.execute("UPDATE event SET name = 'X' WHERE seq = ?", (number,))
        done.set()

    journal._queue.order(queue.Order(change))
    done.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_memory(tmp_path / "disk") as disk:
        yield disk


async def test_a_full_disk_loses_nothing_as_long_as_memory_holds_it(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = Now()
    async with running(small_disk / "j", now=now) as journal:
        fill(small_disk / "ballast")
        for number in range(1, 1001):
            journal.append(event(number, size=100))
        assert await everything(journal) == list(range(1, 1001))
        assert (kind(journal), journal.kept(1, 1).stored) == ("full", True)
        (small_disk / "ballast").unlink()
        now.time += writer.RETRY_SECONDS
        assert await everything(journal) == list(range(1, 1001))
        assert kind(journal) is None
    async with running(small_disk / "j", "b") as journal:
        assert await everything(journal) == list(range(1, 1001))
    assert caplog.text.count("no room left") == 1


class Hanging:
    """A disk that answers when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        self.reached = threading.Event()
        self.answer = threading.Event()
        original: Callable[..., object] = getattr(JournalStore, method)

        def hang(*args: object) -> object:
            self.reached.set()
            self.answer.wait()
            return original(*args)

        monkeypatch.setattr(JournalStore, method, hang)


async def test_a_disk_that_hangs_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("BEGIN_SECONDS", "PAUSE_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    disk = Hanging(monkeypatch, "begin")
    journal = Journal(place(tmp_path / "j"), now=Now(), batch_seconds=0)
    assert await journal.start("a") == 1
    for number in range(1, 100):
        journal.append(event(number))
    await anyio.to_thread.run_sync(disk.reached.wait)
    assert not await journal.pause()
    journal.resume()
    with anyio.move_on_after(0.01) as reading:
        await journal.read(0, 10)
    assert reading.cancelled_caught
    await journal.close(99)
    assert "does not answer: what was not stored yet is lost" in caplog.text
    assert journal._thread.daemon
    disk.answer.set()
    await anyio.to_thread.run_sync(journal._thread.join)


async def test_a_disk_that_hangs_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "BEGIN_SECONDS", 0.01)
    disk = Hanging(monkeypatch, "settle")
    journal = Journal(place(tmp_path / "j"), now=Now(), batch_seconds=0)
    assert await journal.start("a") == 1
    assert "kept in memory until it does" in caplog.text
    assert kind(journal) == "io"
    journal.append(event(1))
    disk.answer.set()
    assert await everything(journal) == [1]
    assert kind(journal) is None
    await journal.close(1)
    await anyio.to_thread.run_sync(journal._thread.join)


async def test_an_end_while_it_is_frozen_waits_for_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "j") as journal:
        await journal.pause()
        await journal.close(5)
        assert "frozen: what was not stored yet is lost" in caplog.text


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    with mounted_disks(tmp_path) as disks:
        yield disks


def freeze(path: Path, option: str) -> None:
    subprocess.run(["fsfreeze", option, path], check=True, env=os.environ | {"PATH": "/usr/sbin:/sbin"})


async def test_a_frozen_file_system_stops_nothing(disks: Disks) -> None:
    """A real one. Whatever wrote to it would wait in the kernel until the thaw, and could not even be killed."""
    async with running(disks.outer / "j") as journal:
        journal.append(event(1))
        assert await journal.pause()
        freeze(disks.outer, "--freeze")
        try:
            for number in range(2, 1001):
                journal.append(event(number))
            # It rests, and waits in no system call of the disk's.
            state = Path(f"/proc/self/task/{journal._thread.native_id}/stat").read_text().split()[2]
            assert state == "S"
        finally:
            freeze(disks.outer, "--unfreeze")
        journal.resume()
        assert await everything(journal) == list(range(1, 1001))
        assert journal.fault is None


async def test_a_file_system_that_is_frozen_without_a_word_stops_only_the_thread(disks: Disks) -> None:
    """By `fsfreeze` at a prompt. The loop goes on, and after the thaw nothing is missing."""
    async with running(disks.outer / "j") as journal:
        journal.append(event(1))
        assert await everything(journal) == [1]
        freeze(disks.outer, "--freeze")
        try:
            for number in range(2, 1001):
                journal.append(event(number))
            with anyio.move_on_after(0.05) as reading:
                await journal.read(0, 1000)
            assert reading.cancelled_caught
        finally:
            freeze(disks.outer, "--unfreeze")
        assert await everything(journal) == list(range(1, 1001))


async def test_the_bound_holds_through_a_flood(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as journal:
        number = 0
        for _ in range(60):
            for _ in range(500):
                number += 1
                journal.append(event(number, size=number % 300))
            await journal.read(0, 1, 1)
            assert place(tmp_path / "j").files.size() <= MIN_BYTES
        found = await everything(journal)
        assert found[0] == (1, found[1] - 1, "expired")  # type: ignore[operator]
        assert found[1:] == list(range(found[1], number + 1))  # type: ignore[arg-type]
