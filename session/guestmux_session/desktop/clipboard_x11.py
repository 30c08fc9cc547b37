"""The clipboards of an X server (ICCCM 2.0 § 2): selections, and XFixes to hear of their changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

import anyio

from guestmux_protocol.clipboard_commands import MAX_FORMAT, MAX_FORMATS, Selection
from guestmux_session.desktop import x11_selection_wire as wire
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.clipboard_formats import Content, Offered
from guestmux_session.desktop.clipboard_source import ANSWER_SECONDS, NotOffered, OwnerFailed
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable, RequestRefused
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_conversion import X11Conversion
from guestmux_session.desktop.x11_selection import X11Selection

MAX_TARGETS = 2 * MAX_FORMATS
"""Targets that are looked at: beside the formats there are some that are none."""

_ATOMS: dict[Selection, str] = {"clipboard": "CLIPBOARD", "primary": "PRIMARY"}


class X11Clipboard:
    """The selections of an X server.

    Args:
        connection: to it.
        turns: of those who ask a selection's owner for something.
    """

    name = "x11"

    def __init__(self, connection: X11Connection, turns: Mapping[Selection, anyio.Semaphore]) -> None:
        self._connection = connection
        self._turns = turns

    async def offered(self, selection: Selection) -> Offered:
        """What its owner says that it can give."""
        try:
            atoms, truncated = await self._targets(selection)
        except NotOffered:
            # Clients of before the ICCCM do not tell; what all of them have is text.
            has_owner = await self._owner(selection) != wire.NONE
            return Offered.of(["UTF8_STRING", "STRING"] if has_owner else [])
        names = await asyncio.gather(*map(self._name_of, atoms))
        return Offered.of(names, truncated=truncated)

    async def read(self, selection: Selection, name: str) -> AsyncGenerator[bytes, None]:
        """Have its owner convert it."""
        # A format that no client has named is none's; hosts' words make no atoms, which stay for ever.
        target = x11.atom_of(await self._connection.ask(x11.intern_atom(name, only_if_exists=True)))
        if target == wire.NONE:
            raise NotOffered("there is no content in that format")
        async with (
            self._turn(selection),
            X11Conversion(self._connection, await self._selection(selection), target) as conversion,
            aclosing(conversion.pieces()) as pieces,
        ):
            async for piece in pieces:
                yield piece

    @asynccontextmanager
    async def _turn(self, selection: Selection) -> AsyncIterator[None]:
        """Be the only one who is asking its owner: xclip never ends a large content while it is asked for another.

        It is not waited for longer than an owner may take to answer: a host may take its time with what it gets.
        """
        turn = self._turns[selection]
        with anyio.move_on_after(ANSWER_SECONDS) as scope:
            await turn.acquire()
        try:
            yield
        finally:
            if not scope.cancelled_caught:
                turn.release()

    async def hold(self, selection: Selection, content: Content) -> X11Selection:
        """Own the selection."""
        held = X11Selection(self._connection, await self._selection(selection), content)
        await held.take()
        return held

    async def clear(self, selection: Selection) -> None:
        """Have nobody own it."""
        atom = await self._selection(selection)
        self._connection.tell(wire.set_owner(atom, wire.NONE, wire.CURRENT_TIME))
        await self._connection.ask(x11.get_input_focus())

    async def follow(self, changed: Callable[[Selection], None]) -> None:
        """Hear of it by XFixes."""
        found = wire.extension(await self._connection.ask(x11.query_extension("XFIXES")))
        if found is None:
            raise DisplayUnavailable("the X server cannot tell of changes: it has no XFixes")
        opcode, first_event = found
        await self._connection.ask(wire.xfixes_version(opcode))
        selections = {await self._selection(one): one for one in _ATOMS}

        def on_change(event: bytes) -> None:
            if (selection := selections.get(wire.word(event, 12))) is not None:
                changed(selection)

        code = first_event + wire.XFIXES_SELECTION_NOTIFY
        # Marking a text changes the owner with every move of the mouse.
        self._connection.listen(code, on_change, patient=True)
        self._select(opcode, selections, wanted=True)
        try:
            await self._connection.wait_lost()
        finally:
            self._connection.unlisten(code, on_change)
            if self._connection.lost_reason is None:
                self._select(opcode, selections, wanted=False)
        raise DisplayLost(f"lost the X server: {self._connection.lost_reason}")

    def _select(self, opcode: int, selections: dict[int, Selection], *, wanted: bool) -> None:
        for atom in selections:
            root = self._connection.setup.root
            self._connection.tell(wire.xfixes_select(opcode, root, atom, wanted=wanted))

    async def _selection(self, selection: Selection) -> int:
        name = _ATOMS[selection]
        return (await self._connection.atoms(name))[name]

    async def _owner(self, selection: Selection) -> int:
        return wire.word(await self._connection.ask(wire.get_owner(await self._selection(selection))), 8)

    async def _targets(self, selection: Selection) -> tuple[list[int], bool]:
        """The targets that the owner lists, and whether there are more than are looked at."""
        # Some owners (xclip) name it only when they are asked for it the first time.
        await self._connection.atoms("TARGETS")
        value = b""
        async with aclosing(self.read(selection, "TARGETS")) as pieces:
            async for piece in pieces:
                value += piece
                if len(value) > 4 * MAX_TARGETS:
                    break
        atoms = [wire.word(value, offset) for offset in range(0, len(value) - 3, 4)]
        return atoms[:MAX_TARGETS], len(atoms) > MAX_TARGETS

    async def _name_of(self, atom: int) -> str:
        try:
            untrusted_name = wire.atom_name(await self._connection.ask(wire.get_atom_name(atom)))
        except RequestRefused as error:
            raise OwnerFailed("the program that has the content lists what there is not") from error
        # One character more, so that it is seen to be too long; bytes that are no text are no name either.
        return untrusted_name[: MAX_FORMAT + 1].decode("latin-1")
