"""A user's session as a place for processes: its variables, the user's home, a scope of the user's own systemd.

systemd's side is org.freedesktop.systemd1(5), and systemd.special(7) for app.slice.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guestmux_session.bus_service import BusService
from guestmux_session.info_environment import account
from guestmux_session.verbs.spawn import variables
from guestmux_session.verbs.surroundings import inherited
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError
from guestmux_transport.names import PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

SYSTEMD_NAME = "org.freedesktop.systemd1"
SYSTEMD_PATH = "/org/freedesktop/systemd1"
MANAGER_INTERFACE = "org.freedesktop.systemd1.Manager"

CALL_TIMEOUT = 2.0
"""Seconds: a service manager answers from memory, and a process must not wait for one that hangs."""

SLICE = "app.slice"
"""Where a desktop's programs live in the user's cgroup."""

logger = logging.getLogger(__name__)


class SessionSurroundings:
    """The session that the agent is in. It uses the session bus while there is one."""

    def __init__(self) -> None:
        self._bus: Bus | None = None
        self._systemd: BusService | None = None
        self._jobs: dict[str, asyncio.Future[None]] = {}

    async def attach(self, bus: Bus) -> None:
        """Use a connection to the session bus.

        Raises:
            BusError: it is lost.
        """
        systemd = BusService(bus, SYSTEMD_NAME, _unheard)
        await bus.add_signal_handler(
            sender=SYSTEMD_NAME,
            interface=MANAGER_INTERFACE,
            member="JobRemoved",
            path=SYSTEMD_PATH,
            handler=self._on_job_removed,
        )
        await systemd.start()
        self._bus, self._systemd = bus, systemd

    def detach(self, _lack: str) -> None:
        """There is no connection."""
        self._bus = self._systemd = None

    @property
    def directory(self) -> str | None:
        """The user's home, where there is one."""
        home = account(os.getuid()).pw_dir
        return home if Path(home).is_dir() else None

    async def environment(self, given: Mapping[str, str] | None) -> dict[str, str]:
        """The session's variables, and what was given on top.

        They are the agent's own and those of the user's service manager, into which desktops put theirs. An agent
        that the service manager started knows the session from there alone, so that the manager's count; one that the
        desktop started knows better than a manager that all of the user's sessions share.
        """
        own = inherited()
        shared = await self._of_manager()
        by_manager = "INVOCATION_ID" in os.environ
        return {**own, **shared, **(given or {})} if by_manager else {**shared, **own, **(given or {})}

    async def adopt(self, pid: int, unit: str = "") -> None:
        """Give the process a scope of its own, so that it outlives the agent; where that fails it stays beside it.

        Args:
            pid: the process.
            unit: the scope's name; one for what hosts execute where empty.
        """
        if not self.adopts:
            return
        unit = unit or f"app-guestmux-exec-{os.urandom(8).hex()}.scope"
        try:
            await self._start_scope(unit, pid)
        except (BusError, TimeoutError) as error:
            reason = str(error) or "the service manager is too slow"
            logger.info("process %d stays in the agent's own cgroup and ends with it: %s", pid, reason)

    async def _start_scope(self, unit: str, pid: int) -> None:
        """Returns when the process is in it."""
        properties = [
            ("Description", Variant("s", f"Started by guestmux (PID {pid})")),
            ("Slice", Variant("s", SLICE)),
            ("CollectMode", Variant("s", "inactive-or-failed")),
            ("PIDs", Variant("au", [pid])),
        ]
        # The answer says that there is a job, no more; the job's end may be told before we have read the answer.
        done = self._jobs[unit] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                arguments = [unit, "fail", properties, []]
                await self._ask(MANAGER_INTERFACE, "StartTransientUnit", "ssa(sv)a(sa(sv))", arguments)
                await done
        finally:
            del self._jobs[unit]

    def _on_job_removed(self, signal: Signal) -> None:
        if signal.signature != "uoss":
            return
        _number, _job, unit, _result = signal.body
        done = self._jobs.get(unit)
        if done is not None and not done.done():
            done.set_result(None)

    async def _of_manager(self) -> dict[str, str]:
        if not self.adopts:
            return {}
        try:
            value = await self._ask(PROPERTIES_INTERFACE, "Get", "ss", [MANAGER_INTERFACE, "Environment"])
        except BusError as error:
            logger.info("the service manager's environment is left out: %s", error)
            return {}
        entries = value.value if isinstance(value, Variant) and value.signature == "as" else []
        return variables(entries)

    @property
    def adopts(self) -> bool:
        """Whether the user's systemd is there."""
        return self._systemd is not None and self._systemd.owner is not None

    async def _ask(self, interface: str, member: str, signature: str, body: list[Any]) -> Any:
        assert self._bus is not None
        reply = await self._bus.call(
            SYSTEMD_NAME, SYSTEMD_PATH, interface, member, signature, body, timeout=CALL_TIMEOUT
        )
        return reply.body[0]


def _unheard() -> None:
    """Whether it is there is looked up when it is needed."""
