"""A content that the agent has put into a selection of an X server's: it is given to every client that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from guestmux_protocol.clipboard_commands import TEXT
from guestmux_session.desktop import x11_selection_wire as wire
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.clipboard_formats import ANY_TEXT, LATIN_1, TEXTS, Content, as_latin_1, names_of
from guestmux_session.desktop.clipboard_source import wait_until
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.pulse import Pulse

PIECE_BYTES = 64 * 1024
"""Bytes of one property: a quarter of what a request may have without BIG-REQUESTS. Larger contents go by INCR."""

MAX_TRANSFERS = 16
"""Contents under way by INCR; the one that began first is given up for one more. Each has a piece in the queue."""

MAX_QUEUED = 1024 * 1024
"""Bytes that may wait for the server: beyond them who asks is refused, as one who asks a thousand times is."""

LINGER_SECONDS = 10.0
"""Seconds in which what is under way may come to its end when the content is another's already."""

_DELETED = 1


@dataclass
class _Transfer:
    """A content on its way to a client."""

    requestor: int
    property: int
    kind: int
    data: bytes
    sent: int = 0


class X11Selection:
    """A selection that the agent owns; made by `take`.

    Args:
        connection: to the server.
        selection: its atom.
        content: what is given.
    """

    def __init__(self, connection: X11Connection, selection: int, content: Content) -> None:
        self._owner = False
        self._connection = connection
        self._selection = selection
        self._content = content
        self._window = connection.new_id()
        self._time = wire.CURRENT_TIME
        self._given: dict[int, tuple[int, bytes]] = {}
        self._transfers: dict[tuple[int, int], _Transfer] = {}
        self._atoms: dict[str, int] = {}
        self._over = Pulse()
        self._finished = self._released = False

    def __repr__(self) -> str:
        return f"<X11Selection {self._selection} {'OWNED' if self.alive else 'LOST'}>"

    @property
    def alive(self) -> bool:
        """Whether it is still the agent's."""
        return self._owner and self._connection.lost_reason is None

    @property
    def window(self) -> int:
        """The owner."""
        return self._window

    async def take(self) -> None:
        """Become the owner.

        Raises:
            DisplayError: that is not possible.
        """
        self._listen()
        try:
            await self._learn_atoms()
            self._connection.tell(wire.create_window(self._window, self._connection.setup.root))
            await self._learn_time()
            self._connection.tell(wire.set_owner(self._selection, self._window, self._time))
            owner = wire.word(await self._connection.ask(wire.get_owner(self._selection)), 8)
            if owner != self._window:
                raise DisplayUnavailable("another program took the selection at the same time")
        except BaseException:
            self.release()
            raise
        self._owner = True

    async def wait_over(self) -> None:
        """Wait until another client owns the selection and what was under way has ended, or the connection has."""
        await wait_until(lambda: self._finished, self._over, self._connection)

    def release(self) -> None:
        """Give it up, and with it what is under way."""
        if self._released:
            return
        self._released, self._owner = True, False
        self._unlisten()
        if self._connection.lost_reason is None:
            self._connection.tell(wire.destroy_window(self._window))
        self._connection.free_id(self._window)

    def _listen(self) -> None:
        for code, handler in self._handlers:
            self._connection.listen(code, handler)

    def _unlisten(self) -> None:
        for code, handler in self._handlers:
            self._connection.unlisten(code, handler)

    @property
    def _handlers(self) -> tuple[tuple[int, Callable[[bytes], None]], ...]:
        return (
            (wire.SELECTION_REQUEST, self._on_asked),
            (wire.SELECTION_CLEAR, self._on_clear),
            (x11.PROPERTY_NOTIFY, self._on_property),
            (wire.DESTROY_NOTIFY, self._on_destroyed),
        )

    async def _learn_atoms(self) -> None:
        self._atoms = await self._connection.atoms("TARGETS", "TIMESTAMP", "INCR", "GUESTMUX_TIME")
        for name in names_of(self._content):
            # Not kept by the connection: hosts may name any.
            reply = await self._connection.ask(x11.intern_atom(name, only_if_exists=False))
            self._given[x11.atom_of(reply)] = x11.atom_of(reply), self._content.data
        if self._content.format == TEXT:
            await self._offer_old_text(self._content.data)

    async def _offer_old_text(self, text: bytes) -> None:
        """As programs of before Unicode ask for it."""
        atoms = await self._connection.atoms(TEXTS[0], LATIN_1, ANY_TEXT)
        latin_1 = as_latin_1(text)
        if latin_1 is None:
            self._given[atoms[ANY_TEXT]] = atoms[TEXTS[0]], text
            return
        for name in (LATIN_1, ANY_TEXT):
            self._given[atoms[name]] = atoms[LATIN_1], latin_1

    async def _learn_time(self) -> None:
        """The server's time, which a change of a property tells (ICCCM § 2.1)."""
        name = self._atoms["GUESTMUX_TIME"]
        self._connection.tell(
            wire.change_property(self._window, name, wire.INTEGER, 32, b"", mode=wire.APPEND)
        )
        # When this is answered, that was told.
        await self._connection.ask(x11.get_input_focus())

    def _on_asked(self, event: bytes) -> None:
        asked = wire.read_asked(event)
        if asked.owner != self._window or self._connection.lost_reason is not None:
            return
        # Clients of before the ICCCM name no property.
        place = asked.property or asked.target
        given = self._may_have(asked.requestor) and self._give(asked, place)
        self._connection.tell(wire.notify(asked, place if given else wire.NONE))

    def _may_have(self, requestor: int) -> bool:
        # What the agent hears of on the root window is not for others to choose.
        return requestor != self._connection.setup.root and self._connection.queued < MAX_QUEUED

    def _give(self, asked: wire.Asked, place: int) -> bool:
        if asked.target == self._atoms["TARGETS"]:
            listed = [self._atoms["TARGETS"], self._atoms["TIMESTAMP"], *self._given]
            value = b"".join(atom.to_bytes(4, "little") for atom in listed)
            self._put(asked.requestor, place, wire.ATOM, 32, value)
        elif asked.target == self._atoms["TIMESTAMP"]:
            self._put(asked.requestor, place, wire.INTEGER, 32, self._time.to_bytes(4, "little"))
        elif asked.target not in self._given:
            return False
        else:
            self._give_content(asked.requestor, place, *self._given[asked.target])
        return True

    def _give_content(self, requestor: int, place: int, kind: int, data: bytes) -> None:
        if len(data) <= PIECE_BYTES:
            self._put(requestor, place, kind, 8, data)
        else:
            self._begin(_Transfer(requestor, place, kind, data))

    def _put(self, window: int, name: int, kind: int, bits: int, value: bytes | memoryview) -> None:
        self._connection.tell(wire.change_property(window, name, kind, bits, value))

    def _begin(self, transfer: _Transfer) -> None:
        key = (transfer.requestor, transfer.property)
        self._transfers.pop(key, None)
        while len(self._transfers) >= MAX_TRANSFERS:
            self._end(next(iter(self._transfers)))
        self._transfers[key] = transfer
        mask = x11.PROPERTY_CHANGE_MASK | wire.STRUCTURE_NOTIFY_MASK
        self._connection.tell(x11.select_events(transfer.requestor, mask))
        size = len(transfer.data).to_bytes(4, "little")
        self._put(*key, self._atoms["INCR"], 32, size)

    def _on_property(self, event: bytes) -> None:
        window, name = wire.word(event, 4), wire.word(event, 8)
        if window == self._window:
            self._time = self._time or wire.word(event, 12)
            return
        transfer = self._transfers.get((window, name))
        if transfer is None or event[16] != _DELETED:
            return
        piece = memoryview(transfer.data)[transfer.sent : transfer.sent + PIECE_BYTES]
        transfer.sent += len(piece)
        self._put(window, name, transfer.kind, 8, piece)
        if not piece:
            self._end((window, name))

    def _end(self, key: tuple[int, int]) -> None:
        del self._transfers[key]
        others = any(window == key[0] for window, _name in self._transfers)
        if not others and not self._is_ours(key[0]):
            self._connection.tell(x11.select_events(key[0], 0))
        if not self._owner and not self._transfers:
            self._finish()

    def _is_ours(self, window: int) -> bool:
        """Whether the agent asks itself; that window's events are for others to choose."""
        setup = self._connection.setup
        return window & ~setup.id_mask == setup.id_base

    def _on_destroyed(self, event: bytes) -> None:
        for key in [key for key in self._transfers if key[0] == wire.word(event, 8)]:
            del self._transfers[key]

    def _on_clear(self, event: bytes) -> None:
        if wire.word(event, 8) != self._window or not self._owner:
            return
        self._owner = False
        if self._transfers:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        self._finished = True
        self._over.beat()
