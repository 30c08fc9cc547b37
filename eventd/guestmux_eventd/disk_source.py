"""File systems that are nearly full, of those that the configuration names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from guestmux_eventd.disk_space import DiskProbe
from guestmux_eventd.session_table import Emission
from guestmux_protocol.events import DiskPressure

LOOK_SECONDS = 60.0
"""Between two looks; no kernel tells of this by itself."""

HYSTERESIS = 5
"""Percent that must have become free before it has ended: what is written and removed all the time is not told of."""

logger = logging.getLogger(__name__)


class DiskSource:
    """Looks at file systems, one after the other.

    Args:
        paths: on them.
        percent: it begins where so much is used.
        publish: takes the events.
        probe: makes what asks for a path's space.
    """

    def __init__(
        self,
        paths: Sequence[str],
        percent: int,
        publish: Callable[[list[Emission]], object],
        probe: Callable[[str], DiskProbe] = DiskProbe,
    ) -> None:
        self._probes = [probe(path) for path in dict.fromkeys(paths)]
        self._percent = percent
        self._publish = publish
        self._active: set[str] = set()
        self._told: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<DiskSource {self._probes} {len(self._active)} nearly full>"

    async def run(self) -> None:
        """Publish what begins and ends, until cancelled."""
        while True:
            for probe in self._probes:
                await self.look(probe)
            await anyio.sleep(LOOK_SECONDS)

    async def look(self, probe: DiskProbe) -> None:
        """Look at one. What cannot be seen now stays as it was told last."""
        try:
            space = await probe.look()
        except OSError as error:
            self._note(probe.path, error.strerror or str(error))
            return
        self._note(probe.path, "")
        if self._is_active(probe.path, space.percent) == (probe.path in self._active):
            return
        self._active ^= {probe.path}
        event = DiskPressure(
            path=probe.path,
            active=probe.path in self._active,
            total=space.total,
            available=space.available,
            percent=space.percent,
        )
        self._publish([("DISK_PRESSURE", event)])

    def _is_active(self, path: str, percent: int) -> bool:
        if path in self._active:
            return percent > self._percent - HYSTERESIS
        return percent >= self._percent

    def _note(self, path: str, problem: str) -> None:
        if problem != self._told.get(path, ""):
            self._told[path] = problem
            if problem:
                logger.warning("no DISK_PRESSURE of %s for now: %s", path, problem)
            else:
                logger.info("%s can be looked at again", path)
