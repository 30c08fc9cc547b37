"""Has an X server carry out a plan for its displays, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import anyio

from guestmux_session.desktop import randr_wire as randr
from guestmux_session.desktop.cvt import PREFIX
from guestmux_session.desktop.errors import DisplayError, RequestRefused
from guestmux_session.desktop.randr_plan import Plan, Screen
from guestmux_session.desktop.randr_wire import Crtc, Mode
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.errors import CommandError

MM_PER_PIXEL = 25.4 / 96
"""What X servers take a screen for, whatever is plugged in."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def grabbed(connection: X11Connection) -> AsyncIterator[None]:
    """Have nobody else change anything. It ends with the connection in any case."""
    connection.tell(randr.grab())
    try:
        yield
    finally:
        if connection.lost_reason is None:
            connection.tell(randr.ungrab())


class RandrChange:
    """One change.

    Args:
        connection: to the server, which it has grabbed.
        opcode: RandR's.
        screen: as it is.
    """

    def __init__(self, connection: X11Connection, opcode: int, screen: Screen) -> None:
        self._connection = connection
        self._opcode = opcode
        self._screen = screen
        self._root = connection.setup.root
        self._created: dict[bytes, int] = {}
        self._added: list[tuple[int, int]] = []

    async def carry_out(self, plan: Plan) -> None:
        """Do it, also when whoever asked has gone: half of it is worse than all.

        Raises:
            CommandError: the server refuses; everything is as it was.
            DisplayLost: the connection ended.
        """
        with anyio.CancelScope(shield=True):
            try:
                await self._change(plan)
            except (RequestRefused, CommandError) as error:
                await self._restore()
                raise CommandError(f"the X server does not set its displays so: {error}") from error
            await self._forget_unused(plan)

    async def _change(self, plan: Plan) -> None:
        targets = []
        for crtc, (shown, outputs) in plan.shown.items():
            mode = await self._number_of(shown.mode)
            for output in outputs:
                await self._add(output, mode)
            targets.append(Crtc(crtc, *shown.area, mode, shown.rotation, shown.rotation, outputs))
        await self._set(targets, plan.size)
        if plan.primary != self._screen.primary:
            await self._connection.done(randr.set_primary(self._opcode, self._root, plan.primary))

    async def _number_of(self, mode: Mode) -> int:
        """Have a mode made where there is none."""
        if mode.id:
            return mode.id
        if mode.name not in self._created:
            reply = await self._connection.ask(randr.create_mode(self._opcode, self._root, mode))
            self._created[mode.name] = randr.mode_of(reply)
        return self._created[mode.name]

    async def _add(self, output: int, mode: int) -> None:
        """Have a mode be one of an output's."""
        if mode not in self._screen.outputs[output].modes:
            await self._connection.done(randr.add_mode(self._opcode, output, mode))
            self._added.append((output, mode))

    async def _set(self, targets: list[Crtc], size: tuple[int, int]) -> None:
        """Switch off what is not to be so, resize the screen, then switch on: each step must fit the screen."""
        same = [crtc for crtc in targets if _is_same(self._screen.crtcs[crtc.id], crtc)]
        kept = {crtc.id for crtc in same}
        for crtc in self._screen.crtcs.values():
            if crtc.mode and crtc.id not in kept:
                await self._set_crtc(_off(crtc))
        await self._resize(size)
        for crtc in targets:
            if crtc.id not in kept:
                await self._set_crtc(crtc)

    async def _set_crtc(self, crtc: Crtc) -> None:
        reply = await self._connection.ask(randr.set_crtc(self._opcode, crtc, self._screen.config_time))
        if status := randr.status_of(reply):
            raise CommandError(f"status {status}")

    async def _resize(self, size: tuple[int, int]) -> None:
        width, height = size
        millimetres = max(1, round(width * MM_PER_PIXEL)), max(1, round(height * MM_PER_PIXEL))
        await self._connection.done(randr.set_size(self._opcode, self._root, size, millimetres))

    async def _restore(self) -> None:
        """Set everything as it was. Raises DisplayLost."""
        try:
            for number in self._screen.crtcs:
                await self._set_crtc(_off(self._screen.crtcs[number]))
            await self._resize(self._screen.size)
            for crtc in self._screen.crtcs.values():
                if crtc.mode:
                    await self._set_crtc(crtc)
        except (RequestRefused, CommandError) as error:
            logger.error("the displays could not be set back to what they were: %s", error)
        for output, mode in self._added:
            await self._gone(randr.delete_mode(self._opcode, output, mode))
        for mode in self._created.values():
            await self._gone(randr.destroy_mode(self._opcode, mode))

    async def _forget_unused(self, plan: Plan) -> None:
        """Of the modes that the agent has made those that are used no more: a window that is resized asks for many."""
        used = {shown.mode.name for shown, _ in plan.shown.values()}
        made = [mode for mode in self._screen.modes.values() if mode.name.startswith(PREFIX)]
        with suppress(DisplayError):
            for mode in made:
                if mode.name in used:
                    continue
                for output in self._screen.outputs.values():
                    if mode.id in output.modes:
                        await self._gone(randr.delete_mode(self._opcode, output.id, mode.id))
                await self._gone(randr.destroy_mode(self._opcode, mode.id))

    async def _gone(self, request: bytes) -> None:
        with suppress(RequestRefused):
            await self._connection.done(request)


def _off(crtc: Crtc) -> Crtc:
    return Crtc(crtc.id, 0, 0, 0, 0, randr.NONE, randr.ROTATE_0, randr.ROTATE_0, ())


def _is_same(before: Crtc, after: Crtc) -> bool:
    return replace(before, rotations=0, width=0, height=0) == replace(after, rotations=0, width=0, height=0)
