"""Everything that can be wrong with the journal's files is said in a line, and never ends in a traceback."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.faults import JournalFault, from_sqlite
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.runs import RESERVED
from guestmux_eventd.journal.store import JournalStore
from tests.support.journals import (
    PARTS,
    SMALL,
    Wall,
    copied,
    event,
    events,
    everything,
    fill,
    mounted_memory,
    numbers,
    opened,
    place,
    same,
)

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def fault(directory: Path) -> JournalFault:
    with pytest.raises(JournalFault) as caught:
        JournalPlace(directory, "m", SMALL, Wall()).open()
    assert str(directory) in str(caught.value)
    return caught.value


def test_no_directory(tmp_path: Path) -> None:
    assert (fault(tmp_path / "j").kind, "No such file" in str(fault(tmp_path / "j"))) == ("absent", True)


def test_the_directory_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "j").touch()
    assert (fault(tmp_path / "j").kind, str(fault(tmp_path / "j"))) == (
        "absent",
        f"{tmp_path}/j: no directory",
    )


def test_the_journal_is_a_link(tmp_path: Path) -> None:
    """Never followed: what it leads to may be anybody's."""
    place(tmp_path / "j")
    (tmp_path / "j" / PARTS[0]).symlink_to(tmp_path / "victim")
    assert fault(tmp_path / "j").kind == "absent"
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("part", [".", PARTS[0]])
def test_others_may_write_to_it(tmp_path: Path, part: str) -> None:
    with opened(place(tmp_path / "j")):
        pass
    (tmp_path / "j" / part).chmod(0o770)
    assert "others may write to it (mode 770)" in str(fault(tmp_path / "j"))


@needs_root
@pytest.mark.parametrize("part", [".", PARTS[0]])
def test_it_belongs_to_somebody_else(tmp_path: Path, part: str) -> None:
    with opened(place(tmp_path / "j")):
        pass
    os.chown(tmp_path / "j" / part, NOBODY, NOBODY)
    assert (
        fault(tmp_path / "j").kind,
        f"belongs to uid {NOBODY}, not to 0" in str(fault(tmp_path / "j")),
    ) == (
        "owner",
        True,
    )


def as_nobody(work: Callable[[], str]) -> str:
    """What another user's process says."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Of other threads, none of which the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            os.write(write, work().encode())
        except BaseException as error:  # noqa: BLE001  # the parent is told
            os.write(write, repr(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@needs_root
def test_a_directory_that_must_not_be_written(tmp_path: Path) -> None:
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    directory = tmp_path / "j"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    directory.chmod(0o500)
    assert as_nobody(lambda: fault(directory).kind) == "owner"


@needs_root
def test_a_journal_that_can_only_be_read(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
    for path in [tmp_path / "j", *(tmp_path / "j").iterdir()]:
        os.chown(path, NOBODY, NOBODY)
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    (tmp_path / "j" / PARTS[0]).chmod(0o400)
    (tmp_path / "j").chmod(0o500)
    assert as_nobody(lambda: fault(tmp_path / "j").kind) == "owner"


@pytest.mark.parametrize("begun", [True, False])
def test_a_file_system_that_is_read_only(small_disk: Path, begun: bool) -> None:
    place(small_disk / "j")
    if begun:
        with opened(place(small_disk / "j")) as store:
            store.begin("a", 1)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert fault(small_disk / "j").kind == "read-only"


OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.support.journals import place
store = place(Path(sys.argv[1])).open()
print("open", flush=True)
sys.stdin.read()
"""


def test_another_process_has_it(tmp_path: Path) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1]))
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "j")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        found = fault(tmp_path / "j")
        assert (found.kind, "another process has it open" in str(found)) == ("locked", True)
        other.kill()
    with opened(place(tmp_path / "j")) as store:
        assert numbers(everything(store)) == [1]


def test_no_room_in_the_file_system(tmp_path: Path, small_disk: Path) -> None:
    """What was stored can be read, and when there is room it goes on."""
    ballast = small_disk / "ballast"
    with opened(place(small_disk / "j")) as store:
        store.begin("a", 1)
        store.append(events([1]))
        fill(ballast)
        with pytest.raises(JournalFault, match="no room left") as caught:
            store.append(events(range(2, 2000), size=100))
        assert caught.value.kind == "full"
        stored = numbers(everything(store))
        assert stored == list(range(1, len(stored) + 1))
        ballast.unlink()
        store.append(events(range(2, 2000), size=100))
        assert numbers(everything(store)) == list(range(1, 2000))


def test_no_room_when_it_is_opened(small_disk: Path) -> None:
    with opened(place(small_disk / "j")) as store:
        store.begin("a", 1)
        store.append(events([1]))
        copied(small_disk / "j", small_disk / "k")
    fill(small_disk / "ballast")
    with opened(place(small_disk / "k")) as store:
        assert store.next == RESERVED + 1
        assert numbers(everything(store)) == [1]
        fill(small_disk / "more")
        with pytest.raises(JournalFault, match="no room left"):
            store.begin("b", store.next)
        assert numbers(everything(store)) == [1]
        (small_disk / "ballast").unlink()
        store.begin("b", store.next)
        assert numbers(everything(store)) == [1, (2, RESERVED, "crash")]


def test_no_room_for_a_new_one(small_disk: Path) -> None:
    place(small_disk / "j")
    fill(small_disk / "ballast")
    assert fault(small_disk / "j").kind == "full"
    (small_disk / "ballast").unlink()
    with opened(place(small_disk / "j")) as store:
        assert store.next == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_memory(tmp_path / "disk") as disk:
        yield disk


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    """A disk that does not take what it said it has room for."""
    code = """
import resource, sys
from pathlib import Path
from guestmux_eventd.journal.faults import JournalFault
from tests.support.journals import events, place
store = place(Path(sys.argv[1])).open()
store.begin("a", 1)
store.append(events([1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    store.append(events(range(2, 2000), size=100))
except JournalFault as fault:
    print(fault.kind)
"""
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=True
    )
    assert said.stdout in {"io\n", "full\n"}
    with opened(place(tmp_path / "j")) as store:
        stored = numbers(everything(store))
        assert stored == list(range(1, len(stored) + 1))


@pytest.mark.parametrize(
    "content", [b"", b"SQLite", b"no journal at all" * 1000, b"SQLite format 3\0" + bytes(range(256)) * 64]
)
def test_a_file_that_is_no_journal(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    place(tmp_path / "j")
    (tmp_path / "j" / PARTS[0]).write_bytes(content)
    (tmp_path / "j" / PARTS[0]).chmod(0o600)
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", store.next)
        store.append(events([1]))
        assert numbers(everything(store)) == [1]
    if content:
        assert "put aside as journal.sqlite.corrupt" in caplog.text
        assert (tmp_path / "j" / "journal.sqlite.corrupt").read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        "PRAGMA user_version = 2",
        "PRAGMA application_id = 1",
        "DROP TABLE gap",
        "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM gap; END",
        "UPDATE run SET last = 3",
        "UPDATE run SET epoch = x'ff'",
        "UPDATE run SET epoch = 1",
        "UPDATE history SET expired = 3",
        "UPDATE history SET machine = x'ff'",
        "DELETE FROM history",
        "UPDATE gap SET reason = 'crash'",
    ],
)
def test_rows_that_we_did_not_write(tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append([event(1), Gap(2, 3, "overload")])
    with sqlite3.connect(tmp_path / "j" / PARTS[0]) as connection:
        connection.execute(change)
    connection.close()
    with opened(place(tmp_path / "j")) as store:
        assert (store.next, everything(store)) == (1, [])
    assert "put aside" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET name = 'B' WHERE seq = 2",
        "UPDATE event SET data = 'x' WHERE seq = 2",
        "UPDATE event SET time = 1.5 WHERE seq = 2",
        "UPDATE event SET seq = 9 WHERE seq = 2",
        "UPDATE event SET crc = 'x' WHERE seq = 2",
    ],
)
def test_events_that_we_did_not_write(tmp_path: Path, change: str) -> None:
    with opened(place(tmp_path / "j")) as store:
        store.begin("a", 1)
        store.append(events([1, 2, 3]))
    with sqlite3.connect(tmp_path / "j" / PARTS[0]) as connection:
        connection.execute(change)
    connection.close()
    with opened(place(tmp_path / "j")) as store:
        with pytest.raises(JournalFault, match="damaged") as caught:
            everything(store)
        assert caught.value.kind == "corrupt"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal after a crash: some of it in the file, some in the log."""
    folder = tmp_path_factory.mktemp("written")
    with opened(place(folder / "j")) as store:
        store.begin("a", 1)
        store.append(events(range(1, 1000, 2), size=200))
        store.append([Gap(1001, 1002, "overload"), *events(range(1003, 1010))])
        return copied(folder / "j", folder / "copy")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), part=st.sampled_from(PARTS), count=st.sampled_from([1, 1, 8, 4096]))
def test_bytes_that_the_disk_turned_over(written: Path, seed: int, part: str, count: int) -> None:
    """Either the journal is what it was, up to what its log has lost, or it is known to be damaged."""
    folder = written.parent / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(written, folder)
    damage(folder / part, random.Random(seed), count)
    found = None
    with opened(place(folder)) as store:
        try:
            look_through(store)
        except JournalFault as fault:
            found = fault.kind
    assert found in {None, "corrupt"}


def look_through(store: JournalStore) -> None:
    store.check()
    found = everything(store)
    store.begin("b", store.next)
    original = {
        number: event(number, size=200 if number < 1001 else 0)
        for number in (*range(1, 1000, 2), *range(1003, 1010))
    }
    there = [item for item in found if isinstance(item, Entry)]
    assert all(same(item, original[item.seq]) for item in there)
    run = store.runs[0]
    if run.epoch == "a" and run.last is not None and there:
        end = there[-1].seq
        assert [item.seq for item in there] == [number for number in original if number <= end]
        gap = (run.last + 1, RESERVED, "crash")
        assert end == 1009 or numbers(everything(store, end))[-1] == gap


def damage(path: Path, chance: random.Random, count: int) -> None:
    content = bytearray(path.read_bytes())
    begun = chance.randrange(len(content))
    for place_ in range(begun, min(begun + count, len(content))):
        content[place_] ^= chance.randrange(1, 256)
    path.write_bytes(content)


KILLED = """
import sys
from pathlib import Path
from guestmux_eventd.journal.bounds import Bounds
from tests.support.journals import event, place
store = place(Path(sys.argv[1]), bounds=Bounds(bytes=1 << 20)).open()
first = store.next
store.begin(sys.argv[2], first)
print(first, flush=True)
number = first
while True:
    store.append([event(number + more, size=(number * 37) % 900) for more in range(number % 50 + 1)])
    number += number % 50 + 1
    print(number - 1, flush=True)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What was said to be stored is there, in order and without holes; what may have been behind is named."""
    chance = random.Random(6)
    place(tmp_path / "j")
    stored: list[tuple[int, int]] = []
    for turn in range(5):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "j"), f"epoch {turn}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            first = int(child.stdout.readline())
            for _ in range(chance.randrange(1, 300)):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            said = [int(line) for line in child.stdout.read().split("\n")[:-1]]
        with opened(
            place(copied(tmp_path / "j", tmp_path / f"copy {turn}"), bounds=Bounds(bytes=MIN_BYTES))
        ) as store:
            store.begin("next", store.next)
            stored.append((first, max(said, default=first)))
            check_runs(store, stored)


def check_runs(store: JournalStore, stored: list[tuple[int, int]]) -> None:
    found = everything(store, limit=500)
    there = [item.seq for item in found if isinstance(item, Entry)]
    crashes = [item for item in found if isinstance(item, Gap) and item.reason == "crash"]
    for first, last in stored:
        begun = max(first, store.expired + 1)
        run = [number for number in there if first <= number <= first + RESERVED // 2]
        assert run == list(range(begun, run[-1] + 1 if run else begun))
        assert last <= store.expired or run[-1] >= last
        assert last <= store.expired or any(gap.first == run[-1] + 1 for gap in crashes)


def test_what_sqlite_says_that_nobody_foresaw_is_the_disks() -> None:
    assert from_sqlite(sqlite3.Error("?"), "j").kind == "io"
