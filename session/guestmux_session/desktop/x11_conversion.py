"""One content on its way from the X client that has it (ICCCM § 2.4), in pieces where that sends pieces (§ 2.7.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from types import TracebackType

from guestmux_session.desktop import x11_selection_wire as wire
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.clipboard_source import NotOffered, OwnerFailed, Patience, wait_until
from guestmux_session.desktop.errors import DisplayLost, RequestRefused
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.pulse import Pulse

PIECE_LONGS = 64 * 1024
"""Units of four bytes that are read at a time: a property may have any size."""

_NEW_VALUE = 0


class X11Conversion:
    """A question to a selection's owner. Each has a window of its own, so that a late answer reaches no other.

    Args:
        connection: to the server.
        selection: which.
        target: in which form.
    """

    def __init__(self, connection: X11Connection, selection: int, target: int) -> None:
        self._connection = connection
        self._selection = selection
        self._target = target
        self._window = connection.new_id()
        self._owner = wire.NONE
        self._owner_gone = False
        self._answer: int | None = None
        self._arrived = 0
        self._changed = Pulse()
        self._patience = Patience()
        self._incr = self._property = wire.NONE

    async def __aenter__(self) -> X11Conversion:
        """Listen for the answer."""
        for synthetic in (False, True):
            self._connection.listen(wire.SELECTION_NOTIFY, self._on_answer, synthetic=synthetic)
        self._connection.listen(x11.PROPERTY_NOTIFY, self._on_property)
        self._connection.listen(wire.DESTROY_NOTIFY, self._on_destroyed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget it."""
        for synthetic in (False, True):
            self._connection.unlisten(wire.SELECTION_NOTIFY, self._on_answer, synthetic=synthetic)
        self._connection.unlisten(x11.PROPERTY_NOTIFY, self._on_property)
        self._connection.unlisten(wire.DESTROY_NOTIFY, self._on_destroyed)
        if self._connection.lost_reason is None:
            self._connection.tell(wire.destroy_window(self._window))
        self._connection.free_id(self._window)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Ask, and give what comes.

        Raises:
            NotOffered: there is nothing in that form.
            OwnerFailed: the client that has it does not give it, or ended.
            DisplayLost: the connection ended.
        """
        await self._ask()
        seen = self._arrived
        try:
            found = await self._take(0)
            if found.type != self._incr:
                async for piece in self._rest(found):
                    yield piece
                return
            while True:
                await self._next_piece(seen)
                seen = self._arrived
                found = await self._take(0)
                if not found.value:
                    return
                async for piece in self._rest(found):
                    yield piece
        except RequestRefused as error:
            raise OwnerFailed("the program that has the content broke it off") from error

    async def _ask(self) -> None:
        atoms = await self._connection.atoms("INCR", "GUESTMUX_SELECTION")
        self._incr, self._property = atoms["INCR"], atoms["GUESTMUX_SELECTION"]
        self._connection.tell(wire.create_window(self._window, self._connection.setup.root))
        await self._watch_owner()
        if self._owner == wire.NONE:
            raise NotOffered("there is no content")
        self._connection.tell(wire.convert(self._selection, self._target, self._window, self._property))
        await self._wait_for_answer()
        if self._answer == wire.NONE:
            raise NotOffered("there is no content in that format")

    async def _watch_owner(self) -> None:
        """Hear of the end of whoever has the selection now."""
        self._owner = wire.word(await self._connection.ask(wire.get_owner(self._selection)), 8)
        self._owner_gone = False
        if self._owner != wire.NONE:
            self._connection.tell(x11.select_events(self._owner, wire.STRUCTURE_NOTIFY_MASK))

    async def _wait_for_answer(self) -> None:
        before = self._owner
        try:
            await self._wait(lambda: self._answer is not None)
        except OwnerFailed:
            # Another may have taken the selection just before it was asked: then it is the one who answers.
            await self._watch_owner()
            if self._owner in (wire.NONE, before):
                raise
            await self._wait(lambda: self._answer is not None)

    async def _next_piece(self, seen: int) -> None:
        await self._wait(lambda: self._arrived > seen)

    async def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait for the owner."""
        with self._patience.waiting():
            await wait_until(lambda: condition() or self._owner_gone, self._changed, self._connection)
        if self._connection.lost_reason is not None:
            raise DisplayLost(f"lost the X server: {self._connection.lost_reason}")
        if not condition():
            raise OwnerFailed("the program that has the content ended before it gave all of it")

    async def _take(self, offset: int) -> x11.Property:
        asked = wire.take_property(self._window, self._property, offset, PIECE_LONGS)
        return x11.property_of(await self._connection.ask(asked))

    async def _rest(self, found: x11.Property) -> AsyncGenerator[bytes, None]:
        """A property's value, of which the first piece is there."""
        offset = 0
        while found.value:
            yield found.value
            if not found.left:
                return
            offset += len(found.value) // 4
            found = await self._take(offset)

    def _on_answer(self, event: bytes) -> None:
        if wire.word(event, 8) == self._window and self._answer is None:
            self._answer = wire.word(event, 20)
            self._changed.beat()

    def _on_property(self, event: bytes) -> None:
        new = event[16] == _NEW_VALUE and wire.word(event, 8) == self._property
        if new and wire.word(event, 4) == self._window:
            self._arrived += 1
            self._changed.beat()

    def _on_destroyed(self, event: bytes) -> None:
        if wire.word(event, 8) == self._owner:
            self._owner_gone = True
            self._changed.beat()
