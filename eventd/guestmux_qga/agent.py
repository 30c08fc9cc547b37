"""The agent: eventd's host sessions and router, over verbs in this process."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable

import anyio

from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.changes import Changes
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_history import EventHistory
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.host_session import HostSession
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.policy import Policy
from guestmux_eventd.router import Router
from guestmux_eventd.session_table import SessionTable
from guestmux_eventd.stream_state import StreamState
from guestmux_protocol.qga import QgaDialect
from guestmux_qga.local_links import LocalLinks
from guestmux_qga.own_commands import OwnCommands
from guestmux_transport.port import Port

NO_TIMEOUT = 24 * 3600.0
"""Seconds until a command is given up. qemu-ga gives up none: a hook or a disk takes what it takes."""

FAREWELL = 0.5
"""Seconds that the reply to a thaw has to reach the host, when a signal waited for the thaw."""


class Agent:
    """Serves one port until a signal comes, or the port can bring no host any more.

    Args:
        port: the way to the host.
        links: the verbs.
        policy: which commands may run.
        frozen: whether file systems are frozen from before.
    """

    def __init__(self, port: Port, links: LocalLinks, policy: Policy, *, frozen: bool) -> None:
        self._port = port
        self._log = EventLog(uuid.uuid4().hex, time.time, max_events=1, max_bytes=1)
        self._history = EventHistory(self._log)
        self._hosts = Hosts()
        self._gate = FreezeGate()
        self._signalled = 0
        self._may_stop = Changes()
        sessions, agents = SessionTable(), AgentTable()
        agents.add(links.agent(os.getpid(), os.getuid()))
        self._state = StreamState(self._history, agents, self._gate)
        self._own = OwnCommands(sessions, agents, self._log, policy=policy, gate=self._gate)
        self._router = Router(sessions, agents, links, Changes(), NO_TIMEOUT, policy=policy, gate=self._gate)
        self._gate.watch(lambda _frozen: self._may_stop.notify())
        if frozen:
            self._gate.status("frozen")

    def when_thawed(self, action: Callable[[], object]) -> None:
        """Do something now, or after the thaw where file systems are frozen."""
        waiting = [action]

        def changed(frozen: bool) -> None:
            if not frozen and waiting:
                waiting.pop()()

        if self._gate.frozen:
            self._gate.watch(changed)
        else:
            action()

    async def run(self) -> None:
        """Serve."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._count_signals)
            tasks.start_soon(self._router.run)
            tasks.start_soon(self._serve, tasks.cancel_scope)
            await self._until_stopped()
            tasks.cancel_scope.cancel()
        self._port.close()

    async def _serve(self, scope: anyio.CancelScope) -> None:
        async for pipe in self._port.connections():
            feed = EventFeed(self._history, self._state, self._hosts)
            await HostSession(pipe, QgaDialect(), self._own, self._router, feed, self._hosts).run()
        scope.cancel()

    async def _count_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _number in signals:
                self._signalled += 1
                self._may_stop.notify()

    async def _until_stopped(self) -> None:
        """One signal is enough; while file systems are frozen it waits for the thaw, or for a second one."""
        while not self._signalled:
            await self._may_stop.wait()
        waited = False
        while self._gate.frozen and self._signalled < 2:
            waited = True
            await self._may_stop.wait()
        if waited and not self._gate.frozen:
            await anyio.sleep(FAREWELL)
