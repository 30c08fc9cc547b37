"""The journal beside a list in memory, with a crash, a power cut or a rollback at any step."""

import shutil
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.store import Item, JournalStore, last_of
from tests.support.journals import Wall, copied, event, everything, log_bytes, memory_folder, place, same

BOUNDS = Bounds(bytes=MIN_BYTES, events=120, seconds=1000)


class JournalModel(RuleBasedStateMachine):
    """What was appended, in a list; the journal has each of these, or a gap around its number."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = memory_folder()
        self.copies = 0
        self.epochs = 0
        self.wall = Wall()
        self.directory = self.folder / "0"
        self.store: JournalStore
        self.told: list[Item] = []
        self.last = 0
        self.durable = 0
        self.snapshot: tuple[Path, list[Item], int] | None = None
        self.stood: dict[int, dict[str, bytes]] = {0: {}}
        """What was told and held, from these numbers on."""

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self._open(self.directory)

    @rule(
        count=st.integers(1, 60), step=st.integers(1, 3), size=st.sampled_from([0, 100, 3000, 60_000, 70_000])
    )
    def append(self, count: int, step: int, size: int) -> None:
        count = min(count, 4) if size > 1000 else count
        entries = [event(self._number(step), size=size, time=self.wall.time) for _ in range(count)]
        self.store.append(entries)
        self.told += entries

    @rule(
        changes=st.lists(
            st.tuples(st.sampled_from("abcdef"), st.none() | st.binary(max_size=60)), min_size=1, max_size=90
        )
    )
    def append_what_holds(self, changes: list[tuple[str, bytes | None]]) -> None:
        entries = [event(self._number(1), time=self.wall.time, change=change) for change in changes]
        self.store.append(entries)
        self.told += entries
        for entry, (key, value) in zip(entries, changes, strict=True):
            held = {**self._held(entry.seq), key: value}
            self.stood[entry.seq] = {each: text for each, text in held.items() if text is not None}

    @rule(length=st.integers(1, 4), behind=st.booleans())
    def append_gap(self, length: int, behind: bool) -> None:
        first = self._number(1)
        self.last += length - 1
        items: list[Item] = [Gap(first, self.last, "overload")]
        if behind:
            items.append(event(self._number(2), time=self.wall.time))
        self.store.append(items)
        self.told += items

    @rule(seconds=st.integers(1, 600))
    def grow_older(self, seconds: int) -> None:
        self.wall.time += seconds

    @rule()
    def end_and_begin(self) -> None:
        self.store.end(self.last)
        self.store.close()
        self._open(self.directory)

    @rule()
    def close_and_go_on(self) -> None:
        self.store.close()
        self.store = place(self.directory, bounds=BOUNDS, wall=self.wall).open()
        run = self.store.runs[-1]
        self.store.begin(run.epoch, run.first, self.last)

    @rule()
    def crash(self) -> None:
        self._go_on_with(copied(self.directory, self._new_folder()))

    @rule(share=st.floats(0, 1))
    def cut_power(self, share: float) -> None:
        """What was not flushed may be there, up to any byte; what is not there is a gap like after a crash."""
        now = log_bytes(self.directory)
        kept = int(min(self.durable, now) + share * max(now - self.durable, 0))
        cut = copied(self.directory, self._new_folder(), kept)
        self._go_on_with(cut)
        # What was stored and what holds by it are cut at the same place.
        ended = self.store.runs[-2].last
        assert ended is not None
        self.stood[self.last] = self._held(ended)

    @rule()
    def take_snapshot(self) -> None:
        self.snapshot = (copied(self.directory, self._new_folder()), list(self.told), self.last)
        self.stood_then = dict(self.stood)

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def roll_back(self) -> None:
        assert self.snapshot is not None
        folder, self.told, self.last = self.snapshot
        self.told = list(self.told)
        self.stood = dict(self.stood_then)
        self._go_on_with(copied(folder, self._new_folder()))

    @invariant()
    def every_event_is_there_or_in_a_gap(self) -> None:
        found = everything(self.store, limit=50)
        reached = 0
        for item in found:
            first = item.first if isinstance(item, Gap) else item.seq
            assert reached < first <= last_of(item)
            reached = last_of(item)
        there = {item.seq: item for item in found if isinstance(item, Entry)}
        gone = [item for item in found if isinstance(item, Gap)]
        for item in self.told:
            if isinstance(item, Entry) and item.seq in there:
                assert same(there.pop(item.seq), item)
            else:
                assert any(gap.first <= last_of(item) <= gap.last for gap in gone)
        assert not there

    @invariant()
    def what_was_told_and_holds_is_known(self) -> None:
        assert dict(self.store.told) == self._held(self.last)

    @invariant()
    def the_bounds_hold(self) -> None:
        found = everything(self.store, self.store.expired)
        entries = [item for item in found if isinstance(item, Entry)]
        assert len(entries) <= BOUNDS.events
        assert all(entry.time >= (self.wall.time - BOUNDS.seconds) * 1_000_000 for entry in entries[:1])
        assert place(self.directory).files.size() <= BOUNDS.bytes

    @invariant()
    def the_next_number_is_new(self) -> None:
        assert self.store.next > self.last

    def _held(self, seq: int) -> dict[str, bytes]:
        return self.stood[max(number for number in self.stood if number <= seq)]

    def _number(self, step: int) -> int:
        self.last += step
        return self.last

    def _new_folder(self) -> Path:
        self.copies += 1
        return self.folder / str(self.copies)

    def _go_on_with(self, directory: Path) -> None:
        self.store.close()
        self._open(directory)

    def _open(self, directory: Path) -> None:
        self.directory = directory
        self.store = place(directory, bounds=BOUNDS, wall=self.wall).open()
        self.epochs += 1
        first = self.store.next
        self.store.begin(f"epoch {self.epochs}", first)
        self.last = max(self.last, first - 1)
        self.durable = log_bytes(directory)


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
