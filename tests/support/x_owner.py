"""An owner of a selection on a real X server that does as it is told, and not as it should."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from guestmux_session.desktop import x11_selection_wire as wire
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.x11_connection import X11Connection, connect_x11
from tests.support.x_server import XServer

PIECE = 4096
TAKES = 50
MAX_LONGS = 1 << 20
_DELETED = 1
_KILL_CLIENT = 113


class Owner:
    """An X client that has the clipboard.

    Attributes:
        targets: what it lists; None: it does not answer.
        content: what it gives; None: it does not answer.
        pieces: gives what comes next by INCR, after it was asked for the content; None: nothing more comes.
        lists_by_pieces: what it lists comes so, too.
        listed: the bytes that it lists, in place of `targets`.
    """

    def __init__(self, connection: X11Connection) -> None:
        self._connection = connection
        self._window = connection.new_id()
        self._atoms: dict[str, int] = {}
        self._under_way: wire.Asked | None = None
        self.targets: Sequence[int] | None = ()
        self.content: bytes | None = None
        self.pieces: Callable[[], bytes | None] | None = None
        self.lists_by_pieces = False
        self.listed: bytes | None = None

    @classmethod
    async def on(cls, server: XServer) -> Owner:
        """Make one, and have it own the clipboard."""
        environment = server.environment
        owner = cls(await connect_x11(environment["DISPLAY"], environment["XAUTHORITY"]))
        await owner._begin()
        await owner.own()
        return owner

    @property
    def root(self) -> int:
        """The root window."""
        return self._connection.setup.root

    async def _begin(self) -> None:
        x = self._connection
        self._atoms = await x.atoms("CLIPBOARD", "TARGETS", "INCR", "UTF8_STRING")
        self.targets = [self._atoms["UTF8_STRING"]]
        x.tell(wire.create_window(self._window, x.setup.root))
        x.listen(wire.SELECTION_REQUEST, self._on_asked)
        x.listen(x11.PROPERTY_NOTIFY, self._on_property)

    async def own(self) -> None:
        """Take the clipboard."""
        x = self._connection
        x.tell(wire.set_owner(self._atoms["CLIPBOARD"], self._window, wire.CURRENT_TIME))
        await x.ask(x11.get_input_focus())

    async def end_owner(self) -> None:
        """Have the server end the connection of who has the clipboard, as any client may (KillClient)."""
        x = self._connection
        window = wire.word(await x.ask(wire.get_owner(self._atoms["CLIPBOARD"])), 8)
        x.tell(x11.request(_KILL_CLIENT, 0, struct.pack("<I", window)))
        await x.ask(x11.get_input_focus())

    async def ask(self, number: int, window: int = 0) -> None:
        """Ask who has the clipboard for the content, in one of many properties, and do not wait for it."""
        place = await self._place(number)
        x = self._connection
        window = window or self._window
        x.tell(wire.convert(self._atoms["CLIPBOARD"], self._atoms["UTF8_STRING"], window, place))
        await x.ask(x11.get_input_focus())

    async def take_all(self, number: int, window: int) -> None:
        """Take what came by INCR in a property, as far as it comes at once."""
        place = await self._place(number)
        for _ in range(TAKES):
            await self._connection.ask(wire.take_property(window, place, 0, MAX_LONGS))

    async def _place(self, number: int) -> int:
        return (await self.named(b"PLACE_%d" % number))[0]

    async def named(self, *names: bytes) -> list[int]:
        """The atoms of names, whatever is in them."""
        atoms = []
        for name in names:
            body = struct.pack("<Hxx", len(name)) + name
            atoms.append(x11.atom_of(await self._connection.ask(x11.request(16, 0, body))))
        return atoms

    def close(self) -> None:
        """End, whatever is under way."""
        self._connection.close()

    def _on_asked(self, event: bytes) -> None:
        asked = wire.read_asked(event)
        lists = asked.target == self._atoms["TARGETS"] and not self.lists_by_pieces
        if lists and self.listed is not None:
            self._give(asked, wire.ATOM, 8, self.listed)
        elif lists and self.targets is not None:
            self._give(asked, wire.ATOM, 32, struct.pack(f"<{len(self.targets)}I", *self.targets))
        elif lists:
            return
        elif self.pieces is not None:
            self._under_way = asked
            mask = x11.PROPERTY_CHANGE_MASK
            self._connection.tell(x11.select_events(asked.requestor, mask))
            self._give(asked, self._atoms["INCR"], 32, struct.pack("<I", PIECE))
        elif self.content is not None:
            self._give(asked, asked.target, 8, self.content)

    def _give(self, asked: wire.Asked, kind: int, bits: int, value: bytes) -> None:
        self._connection.tell(wire.change_property(asked.requestor, asked.property, kind, bits, value))
        self._connection.tell(wire.notify(asked, asked.property))

    def _on_property(self, event: bytes) -> None:
        asked = self._under_way
        if asked is None or event[16] != _DELETED or wire.word(event, 4) != asked.requestor:
            return
        assert self.pieces is not None
        piece = self.pieces()
        if piece is not None:
            put = wire.change_property(asked.requestor, asked.property, asked.target, 8, piece)
            self._connection.tell(put)
