"""The displays of an X server, by RandR."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import UNSET, structs

from guestmux_protocol.display_commands import (
    MAX_DISPLAYS,
    MAX_MODES,
    MAX_NAME,
    Display,
    DisplayMode,
    Displays,
    DisplaySetting,
)
from guestmux_session.desktop import randr_wire as randr
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.edid import BLOCK_BYTES, Monitor, read_edid
from guestmux_session.desktop.errors import DisplayError, DisplayLost, DisplayUnavailable
from guestmux_session.desktop.output_settings import QUARTERS, by_size
from guestmux_session.desktop.randr_change import RandrChange, grabbed
from guestmux_session.desktop.randr_plan import Screen, plan, quarters_of, turned
from guestmux_session.desktop.randr_wire import Crtc, Mode, Output
from guestmux_session.desktop.texts import one_line
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_selection_wire import extension

MAX_ASKED = 64
"""Outputs, and CRTCs, that are looked at: more than any machine has."""

_NOBODY = Monitor("", "")


class X11Outputs:
    """The outputs of an X screen.

    Args:
        connection: to the server.
    """

    name = "x11-randr"

    def __init__(self, connection: X11Connection) -> None:
        self._connection = connection
        self._root = connection.setup.root
        self._extension: tuple[int, int] | None = None

    async def displays(self) -> Displays:
        """Ask for everything."""
        screen = await self._screen()
        shown = [*screen.outputs.values()][:MAX_DISPLAYS]
        displays = await asyncio.gather(*(self._display(screen, output) for output in shown))
        return Displays(displays=displays, truncated=len(screen.outputs) > MAX_DISPLAYS)

    async def set(self, settings: Sequence[DisplaySetting], *, test: bool) -> None:
        """Do it while nobody else can change anything."""
        opcode, _ = await self._randr()
        async with grabbed(self._connection):
            screen = await self._screen()
            planned = plan(screen, settings)
            if not test:
                await RandrChange(self._connection, opcode, screen).carry_out(planned)

    async def follow(self, changed: Callable[[], None]) -> None:
        """Hear of changes to the screen, to CRTCs and to outputs."""
        opcode, first_event = await self._randr()
        codes = [first_event + one for one in (randr.SCREEN_CHANGE_NOTIFY, randr.NOTIFY)]

        def on_change(_event: bytes) -> None:
            changed()

        for code in codes:
            self._connection.listen(code, on_change, patient=True)
        self._connection.tell(randr.select(opcode, self._root, randr.CHANGES_MASK))
        # What there was may have been read before the server knew that it is to tell.
        changed()
        try:
            await self._connection.wait_lost()
        finally:
            for code in codes:
                self._connection.unlisten(code, on_change)
            if self._connection.lost_reason is None:
                self._connection.tell(randr.select(opcode, self._root, 0))
        raise DisplayLost(f"lost the X server: {self._connection.lost_reason}")

    async def _randr(self) -> tuple[int, int]:
        """RandR's opcode and first event."""
        if self._extension is None:
            found = extension(await self._connection.ask(x11.query_extension("RANDR")))
            if found is None:
                raise DisplayUnavailable("the X server has no RandR")
            version = randr.version_of(await self._connection.ask(randr.query_version(found[0])))
            if version < randr.VERSION:
                raise DisplayUnavailable("the X server's RandR is too old")
            self._extension = found
        return self._extension

    async def _screen(self) -> Screen:
        opcode, _ = await self._randr()
        ask = self._connection.ask
        requests = (randr.get_resources, randr.get_primary, randr.get_size_range)
        resources, primary, sizes = await asyncio.gather(*(ask(one(opcode, self._root)) for one in requests))
        found = randr.resources_of(resources)
        time = found.config_time
        outputs, crtcs = found.outputs[:MAX_ASKED], found.crtcs[:MAX_ASKED]
        told_outputs = await asyncio.gather(*(ask(randr.get_output(opcode, one, time)) for one in outputs))
        told_crtcs = await asyncio.gather(*(ask(randr.get_crtc(opcode, one, time)) for one in crtcs))
        if any(map(randr.status_of, (*told_outputs, *told_crtcs))):
            raise DisplayError("the displays are just changing; ask again")
        range_of_sizes = randr.size_range_of(sizes)
        return Screen(
            config_time=time,
            outputs={
                one: randr.output_of(one, told) for one, told in zip(outputs, told_outputs, strict=True)
            },
            crtcs={one: randr.crtc_of(one, told) for one, told in zip(crtcs, told_crtcs, strict=True)},
            modes={mode.id: mode for mode in found.modes},
            primary=randr.primary_of(primary),
            size=x11.size_of(await ask(x11.get_geometry(self._root))),
            least=range_of_sizes[:2],
            most=range_of_sizes[2:],
        )

    async def _display(self, screen: Screen, output: Output) -> Display:
        crtc = screen.crtcs.get(output.crtc)
        mode = screen.modes.get(crtc.mode) if crtc is not None else None
        known = [number for number in output.modes if number in screen.modes]
        preferred = {*output.modes[: output.preferred]}
        modes = by_size(_mode(screen.modes[number], preferred=number in preferred) for number in known)
        monitor = await self._monitor(output) if output.connected else _NOBODY
        off = Display(
            name=one_line(output.name, MAX_NAME),
            connected=output.connected,
            enabled=False,
            primary=output.id == screen.primary,
            width_mm=output.width_mm or UNSET,
            height_mm=output.height_mm or UNSET,
            make=monitor.make or UNSET,
            model=monitor.model or UNSET,
            modes=modes[:MAX_MODES],
            modes_truncated=len(modes) > MAX_MODES,
        )
        if crtc is None or mode is None:
            return off
        return _switched_on(off, crtc, mode, preferred=mode.id in preferred)

    async def _monitor(self, output: Output) -> Monitor:
        opcode, _ = await self._randr()
        atom = (await self._connection.atoms("EDID"))["EDID"]
        asked = randr.get_output_property(opcode, output.id, atom, BLOCK_BYTES // 4)
        return read_edid(randr.output_property_of(await self._connection.ask(asked)).value)


def _mode(mode: Mode, *, preferred: bool) -> DisplayMode:
    # What people know a rate by; the rest is the clock's.
    refresh = round(mode.refresh, 2)
    return DisplayMode(width=mode.width, height=mode.height, refresh=refresh, preferred=preferred)


def _switched_on(display: Display, crtc: Crtc, mode: Mode, *, preferred: bool) -> Display:
    turns, mirrored = quarters_of(crtc.rotation)
    width, _ = turned(mode, crtc.rotation)
    return structs.replace(
        display,
        enabled=True,
        x=crtc.x,
        y=crtc.y,
        width=crtc.width,
        height=crtc.height,
        mode=_mode(mode, preferred=preferred),
        # Of those that xrandr has scaled.
        scale=round(width / crtc.width, 3) if crtc.width else 1.0,
        rotation=QUARTERS[turns],
        mirrored=mirrored,
    )
