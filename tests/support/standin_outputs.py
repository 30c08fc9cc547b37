"""A stand-in for a Wayland compositor with outputs, which answers as the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from guestmux_session.desktop.wayland_protocols import INTERFACES, WLR_OUTPUTS
from tests.support.standin_compositor import StandinCompositor

VERSION = 3


class StandinOutputs(StandinCompositor):
    """One client's compositor.

    Attributes:
        outcomes: what is answered next to a test or an application; `succeeded` when there are none left.
        configured: what was asked for last: by output, `off` or the requests about it.
    """

    def __init__(self) -> None:
        super().__init__(WLR_OUTPUTS)
        self.version = VERSION
        self.outcomes: list[str] = []
        self.configured: dict[str, Any] = {}
        self.serials: list[int] = []
        self._serial = 1
        self._names: dict[int, str] = {}
        self._building: dict[int, dict[str, Any]] = {}
        self._about: dict[int, list[tuple[Any, ...]]] = {}
        self._heads: list[tuple[str, Sequence[tuple[int, int]], bool]] = []

    def has(self, name: str, *modes: tuple[int, int], enabled: bool = True) -> None:
        """Before it is asked: an output with modes; the first is on, and preferred."""
        self._heads.append((name, modes, enabled))

    def plug(self, name: str, *modes: tuple[int, int], enabled: bool = True) -> int:
        """An output comes; gives its number."""
        head = self._new("zwlr_output_head_v1", self.manager, "head")
        self._names[head] = name
        self.send(head, "name", name)
        self.send(head, "enabled", int(enabled))
        for width, height in modes:
            mode = self._new("zwlr_output_mode_v1", head, "mode")
            self.send(mode, "size", width, height)
            self.send(mode, "refresh", 60_000)
            if (width, height) == modes[0]:
                self.send(mode, "preferred")
                if enabled:
                    self.send(head, "current_mode", mode)
        if enabled:
            self.send(head, "scale", 2.0)
        return head

    def unplug(self, head: int) -> None:
        """It goes."""
        self.send(head, "finished")

    def done(self) -> None:
        """All that was sent is one change."""
        self._serial += 1
        self.send(self.manager, "done", self._serial)

    def _new(self, interface: str, target: int, event: str) -> int:
        number, self._next = self._next, self._next + 1
        self.send(target, event, number)
        self._objects[number] = INTERFACES[interface]
        return number

    def _take(self, target: int, opcode: int, body: bytes) -> None:
        super()._take(target, opcode, body)
        interface, request, arguments = self.asked[-1]
        if request == "bind" and arguments[1] == WLR_OUTPUTS.name:
            for name, modes, enabled in self._heads:
                self.plug(name, *modes, enabled=enabled)
            self.done()
        elif request == "create_configuration":
            self._building[arguments[0]] = {}
            self.serials.append(arguments[1])
        elif request == "enable_head":
            about = self._about[arguments[0]] = []
            self._building[target][self._names[arguments[1]]] = about
        elif request == "disable_head":
            self._building[target][self._names[arguments[0]]] = "off"
        elif request in ("test", "apply"):
            self.configured = self._building[target]
            self.send(target, self.outcomes.pop(0) if self.outcomes else "succeeded")
        elif interface == "zwlr_output_configuration_head_v1":
            self._about[target].append((request, *arguments))


@asynccontextmanager
async def standin_outputs(path: Path) -> AsyncIterator[StandinOutputs]:
    """Run one for as long as the block lasts."""
    compositor = StandinOutputs()
    async with await asyncio.start_unix_server(compositor.serve, path) as server:
        yield compositor
        server.close()
