"""How far a stream is in the guest's numbers."""

from __future__ import annotations

from guestmux.about_stream import EVENTS_LOST, ROLLED_BACK, Loss
from guestmux.event import Event, Gap
from guestmux.late import LateEvents
from guestmux.selection import Selection
from guestmux_protocol.commands import Position

MAX_RUNS = 1024
"""Runs whose last number is remembered, as many as eventd's journal knows."""


class Numbering:
    """Tells what comes anew from what came already.

    Numbers go on from one run of eventd to the next, each with an epoch of its own, until an EVENTS_LOST says that they
    begin anew. Epoch and number together name an event for ever.

    Args:
        selection: what the stream asked for.

    Attributes:
        epoch: the run of the last event that came.
        seq: its number.
        present: the run that goes on, as the guest said last.
    """

    def __init__(self, selection: Selection) -> None:
        self.epoch = ""
        self.seq = 0
        self.present = ""
        self._ended: dict[str, int] = {}
        self._is_anew = False
        self._wanted = selection.wanted
        self._late = LateEvents(selection.rated) if selection.rated.patterns else None

    def __repr__(self) -> str:
        return f"<Numbering {self.epoch}:{self.seq} of {self.present}>"

    @property
    def position(self) -> Position:
        """The last event that came."""
        return Position(epoch=self.epoch, seq=self.seq)

    def go_to(self, position: Position) -> None:
        """Go on after a position, whatever came before."""
        self.epoch, self.seq = position.epoch, position.seq

    def moves(self, event: Event) -> bool:
        """Whether an event's number says how far the stream is."""
        return event.seq is not None and (self._late is None or not self._late.is_late(event))

    def advance(self, event: Event) -> bool:
        """Note an event that is wanted. False: this stream had it, or began after it; see `break_before`."""
        if self._late is not None:
            new = self._late.is_new(event)
            if not new or self._late.is_late(event):
                self.reach(event)
                return new
        seq = event.seq
        if seq is None:
            return True
        if seq <= self.seq:
            return False
        if event.epoch != self.epoch:
            self._end_run()
        self.epoch, self.seq = event.epoch, seq
        return not (self._is_anew and self._had(event))

    def break_before(self, event: Event) -> Gap | None:
        """What nobody told: the run that goes on has a number that this stream has of an earlier one.

        Args:
            event: it did not advance. Where there is a gap, it does then.
        """
        if event.seq is None or event.epoch == self.epoch or event.epoch != self.present:
            return None
        self._begin_anew(Position(epoch=event.epoch, seq=event.seq - 1))
        return Gap(0, event.seq - 1, ROLLED_BACK)

    def reach(self, event: Event) -> None:
        """Note that everything up to an event came, wanted or not."""
        if event.seq is not None and event.seq > self.seq and event.name != EVENTS_LOST and self.moves(event):
            if event.epoch != self.epoch:
                self._end_run()
            self.epoch, self.seq = event.epoch, event.seq

    def lose(self, loss: Loss, *, exact: bool) -> Gap | None:
        """Note a loss; gives what is lost to this stream.

        Args:
            loss: the guest's word.
            exact: see `Loss.gap`.
        """
        stands = loss.stands
        if loss.breaks and stands is not None and stands.epoch == self.epoch:
            # Another stream's position meant nothing to the guest; this one's does.
            return None
        gap = loss.gap(self.seq, self._wanted, exact=exact)
        if loss.breaks:
            self._begin_anew(stands or self.position)
        elif stands is not None and stands.seq > self.seq:
            self._end_run()
            self.go_to(stands)
        return gap

    def set_back(self, to: Position) -> Gap:
        """The guest's memory was set back: what came above a number is of a history that it knows nothing of.

        Args:
            to: from behind this the guest is asked again. Nothing above is taken for a repetition.

        Returns:
            what may be lost: all that the guest gave out anew up to there, without this stream's knowing.
        """
        self._begin_anew(self.position if self.seq <= to.seq else to)
        self._ended = {epoch: min(last, self.seq) for epoch, last in self._ended.items()}
        return Gap(0, self.seq, ROLLED_BACK)

    def _begin_anew(self, stands: Position) -> None:
        """Lower numbers are no sign any more of what came already, unless their runs are known."""
        self._end_run()
        self._is_anew = True
        self.go_to(stands)
        if self._late is not None:
            self._late.reset()

    def _had(self, event: Event) -> bool:
        """Whether it came before the numbers began anew: the guest sends all that it has then.

        The run that goes on is asked about nothing: if the guest's memory was set back its numbers come twice.
        """
        assert event.seq is not None
        return event.epoch != self.present and event.seq <= self._ended.get(event.epoch, 0)

    def _end_run(self) -> None:
        self._ended[self.epoch] = max(self.seq, self._ended.pop(self.epoch, 0))
        if len(self._ended) > MAX_RUNS:
            del self._ended[next(iter(self._ended))]
