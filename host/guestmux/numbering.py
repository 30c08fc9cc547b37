"""How far a stream is in the guest's numbers."""

from __future__ import annotations

from guestmux.about_stream import EVENTS_LOST, ROLLED_BACK, Loss
from guestmux.event import Event, Gap
from guestmux.late import LateEvents
from guestmux.selection import Selection
from guestmux_protocol.commands import Position


class Numbering:
    """Tells what comes anew from what came already.

    Numbers go on from one run of eventd to the next, each with an epoch of its own, until an EVENTS_LOST says that they
    begin anew.

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
        self.epoch, self.seq = event.epoch, seq
        return True

    def break_before(self, event: Event) -> Gap | None:
        """What nobody told: the run that goes on has a number that this stream has of an earlier one.

        Args:
            event: it did not advance. Where there is a gap, it does then.
        """
        if event.seq is None or event.epoch == self.epoch or event.epoch != self.present:
            return None
        self.go_to(Position(epoch=event.epoch, seq=event.seq - 1))
        self._begin_anew()
        return Gap(0, event.seq - 1, ROLLED_BACK)

    def reach(self, event: Event) -> None:
        """Note that everything up to an event came, wanted or not."""
        if event.seq is not None and event.seq > self.seq and event.name != EVENTS_LOST and self.moves(event):
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
        if stands is not None and (loss.breaks or stands.seq > self.seq):
            self.go_to(stands)
        if loss.breaks:
            self._begin_anew()
        return gap

    def _begin_anew(self) -> None:
        """Lower numbers are no sign any more of what came already."""
        self.present = self.epoch
        if self._late is not None:
            self._late.reset()
