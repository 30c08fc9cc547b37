"""The system agent: the SDK with the verbs that need root."""

from __future__ import annotations

import logging
from collections.abc import Callable

from guestmux_protocol.version import VERSION
from guestmux_session.agent import SYSTEM_BUS, Agent
from guestmux_session.process import run_process
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.sets import close_all, command_names, forget_all

CLAIM = "system"
"""The session that it claims, which eventd gives to root alone."""

logger = logging.getLogger(__name__)


class SystemAgent(Agent):
    """guestmux-session --system.

    Args:
        parts: what it serves, of which `Freeze` has a say in when it stops.
        permits: whether a command is served, by its name.
        bus: the system bus's address, or "system".
    """

    name = "guestmux-system"
    version = VERSION

    def __init__(self, parts: list[object], *, permits: Callable[[str], bool], bus: str = SYSTEM_BUS) -> None:
        super().__init__(bus=bus, session=CLAIM)
        self._parts = parts
        self._refused = sorted(name for name in command_names(parts) if not permits(name))
        for part in parts:
            self.provide(part, only=permits)

    async def run(self) -> None:
        """Serve until cancelled."""
        if self._refused:
            logger.info("switched off by the configuration: %s", ", ".join(self._refused))
        try:
            await super().run()
        finally:
            close_all(self._parts)

    async def released(self, reason: str) -> None:
        """What hosts left open, the next eventd knows nothing of."""
        del reason
        forget_all(self._parts)

    def main(self) -> None:
        """Run until SIGTERM or SIGINT; while file systems are frozen, until the thaw or a second of them."""
        freezes = [part for part in self._parts if isinstance(part, Freeze)]
        run_process(self.run, self._news, hold=lambda: any(freeze.frozen for freeze in freezes))
