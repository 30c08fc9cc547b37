"""All events that there are to read: those in memory, and behind them those on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio

from guestmux_eventd.changes import Changes
from guestmux_eventd.epochs import new_epoch
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.journal import READ_EVENTS, Journal
from guestmux_eventd.journal.runs import MAX_RUNS, Run
from guestmux_eventd.journal.store import Item
from guestmux_eventd.position import Kept, Plan, Since, left_behind, plan
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_eventd.told import Told

READ_SECONDS = 30.0
"""For the disk when a host reads from it. It hears what is in memory then, and that the rest is lost."""

RUNS_PER_SECOND, RUNS_AT_ONCE = 0.1, 4.0
"""How often a host may bring about a new run by a position that cannot be; the journal remembers a thousand runs."""

logger = logging.getLogger(__name__)


class EventHistory:
    """The log and the journal as one.

    Args:
        log: what is in memory.
        journal: what is on disk; None: nothing is.

    Attributes:
        log: the log.
        breaks: how often the numbers began anew, so that no position from before means anything.
        renewals: how often a new run began because the machine may be a copy, or set back.
        frozen: the disk is not to be touched: what is only there cannot be read now.
    """

    def __init__(self, log: EventLog, journal: Journal | None = None) -> None:
        self.log = log
        self.breaks = 0
        self.renewals = 0
        self.frozen = False
        self._journal = journal
        self._runs: tuple[Run, ...] = (Run(log.epoch, log.first, None, log.last),)
        self._may_begin = TokenBucket(RUNS_PER_SECOND, RUNS_AT_ONCE, time.monotonic)
        self._watchers: list[Callable[[], None]] = []
        self._told = self.state
        self._freezes = 0
        self._thawed = Changes()

    def __repr__(self) -> str:
        return f"<EventHistory {self.log!r} {self.state}>"

    @property
    def state(self) -> str:
        """The journal's, as BEACON has it."""
        if self._journal is None:
            return "off"
        return self._journal.fault.kind if self._journal.fault else "ok"

    @property
    def fault(self) -> JournalFault | None:
        """What is wrong with the journal."""
        return self._journal.fault if self._journal else None

    @property
    def told(self) -> Told:
        """What hosts were told that still holds; nothing where there is no journal."""
        return self._journal.told if self._journal else Told()

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when `state` has changed."""
        self._watchers.append(changed)

    async def start(self) -> None:
        """Open the journal, and have the log go on where it ends. Before the first event."""
        if self._journal is not None:
            self._journal.changed = self._journal_changed
            first = await self._journal.start(self.log.epoch)
            self.log.begin(self.log.epoch, first)
            self._runs = (Run(self.log.epoch, first, None, first - 1),)
            self.log.store_in(self._journal, self._journal.told)

    async def close(self) -> None:
        """End the journal cleanly."""
        if self._journal is not None:
            await self._journal.close(self.log.last)

    async def pause(self) -> None:
        """Touch no file any more, until `follow_freeze` says that all is thawed."""
        if self._journal is not None and not await self._journal.pause():
            logger.warning(
                "the journal's disk does not answer; its file system is frozen with the journal at work"
            )

    def follow_freeze(self, frozen: bool) -> None:  # what watches a FreezeGate
        """Go by the freeze gate."""
        self.frozen = frozen
        if self._journal is None:
            return
        if frozen:
            self._freezes += 1
            self._journal.hold()
        else:
            self._journal.resume()
            self._thawed.notify()

    def renew(self) -> None:
        """Begin a new run: this machine may be a copy of one that goes on with the numbers of the present run."""
        self.renewals += 1
        self._begin(self.log.last + 1)
        self.log.wake()

    def plan(self, since: Since) -> Plan:
        """How a host goes on from its position.

        Raises:
            CommandFailure: it has seen what did not happen yet, and others have said that too often.
        """
        found = plan(self._kept(), since)
        if not found.needs_new_run:
            return self._planned_anew(since) if self._may_be_again(since) else found
        if not self._may_begin.take():
            raise CommandFailure(f"'since' is not in this journal, which ends at {self.log.last}")
        logger.warning("a host has seen more of this run, which is at %d: a new one begins", self.log.last)
        return self._planned_anew(since)

    def _may_be_again(self, since: Since) -> bool:
        """Whether this may be memory that was set back a second time.

        It knows nothing of the run that it began the first time, where the host is, and goes on with numbers that the
        host had before that. A run that has no number yet is nobody's.
        """
        kept = self._kept()
        is_foreign = all(run.epoch != since.epoch for run in kept.runs)
        return is_foreign and self.log.last >= self._present_first and self._may_begin.take()

    def _planned_anew(self, since: Since) -> Plan:
        self._begin(self.log.last + 1)
        return plan(self._kept(), since)

    def left_behind(self, cursor: int) -> Plan:
        """How a host goes on that memory has moved on from."""
        return left_behind(self._kept(), cursor)

    def epoch_at(self, seq: int) -> str:
        """The run in which a number is a host's last."""
        if seq >= self._present_first - 1:
            return self.log.epoch
        return self._kept().epoch_at(seq)

    async def read(self, after: int, upto: int, limit: int = READ_EVENTS) -> list[Item]:
        """The next events and gaps on disk, above `after` and up to `upto`; none: no more."""
        if self._journal is None:
            return [Gap(after + 1, upto, "slow-reader")]
        try:
            items = await self._read_between_freezes(self._journal, after, upto, min(limit, READ_EVENTS))
            if items is not None:
                return items
            logger.warning("the journal's disk does not answer; a host loses events up to %d", upto)
        except JournalFault as fault:
            logger.warning("%s; a host loses events up to %d", fault, upto)
        return [Gap(after + 1, upto, "not-stored")]

    async def _read_between_freezes(
        self, journal: Journal, after: int, upto: int, limit: int
    ) -> list[Item] | None:
        """What is on disk; None where that does not answer, and not because it is frozen."""
        freezes = -1
        while freezes != self._freezes:
            while self.frozen:
                await self._thawed.wait()
            freezes = self._freezes
            with anyio.move_on_after(READ_SECONDS):
                return await journal.read(after, upto, limit)
        return None

    def _kept(self) -> Kept:
        if self._journal is not None:
            return self._journal.kept(self.log.first, self.log.last)
        return Kept(self._runs, self.log.first, self.log.last, stored=False)

    @property
    def _present_first(self) -> int:
        return self._runs[-1].first

    def _begin(self, first: int) -> None:
        """Begin a run behind the present one."""
        last = first - 1
        ended = Run(self._runs[-1].epoch, self._runs[-1].first, last, last)
        epoch = self._begin_run((*self._runs[:-1], ended)[-MAX_RUNS:], first)
        self.log.begin(epoch, first, forget=False)

    def _begin_forgetting(self, first: int, lost: int) -> None:
        """Begin a run whose first numbers stand for the events of the present one, which are lost."""
        epoch = self._begin_run((), first)
        if self._journal is not None and lost:
            self._journal.lose(first, first + lost - 1)
        self.log.begin(epoch, first + lost)

    def _begin_run(self, earlier: tuple[Run, ...], first: int) -> str:
        epoch = new_epoch()
        self._runs = (*earlier, Run(epoch, first, None, first - 1))
        if self._journal is not None:
            self._journal.begin(epoch, first)
        return epoch

    def _journal_changed(self) -> None:
        breaks = self.breaks
        if self._journal is not None and (first := self._journal.collides) > self._present_first:
            logger.warning("the journal has numbers up to %d already: a new run begins", first - 1)
            self.breaks += 1
            # Behind those of the present one, too: the journal tells them apart by their numbers.
            self._begin_forgetting(max(first, self.log.last + 1), self.log.last - self._present_first + 1)
        # Each attempt to use a journal that cannot be used fails anew.
        if (self.state, breaks) != (self._told, self.breaks):
            self._told = self.state
            for changed in self._watchers:
                changed()
