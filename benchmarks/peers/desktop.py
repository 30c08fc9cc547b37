"""Session agents on one X server that nobody looks at, and a program of X's own that looks at the same."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.eventd import eventd
from benchmarks.peers.processes import environment, running, shipped
from benchmarks.peers.raw_client import RawClient, connect
from tests.support.dbus_daemon import private_bus
from tests.support.x_server import XServer

SPY = ("xprop", "-root", "-spy", "_NET_ACTIVE_WINDOW", "_NET_CLIENT_LIST")
"""Writes down each change, in C: the least that following costs."""

QUIET_SECONDS = 1.0
"""Seconds without an event after which all were told: the agent looks five times a second."""


class Watched:
    """A session's agent and its host.

    Attributes:
        pid: the agent's.
    """

    def __init__(self, pid: int, host: RawClient) -> None:
        self.pid = pid
        self._host = host

    def subscribe(self) -> None:
        """Want all events, and wait until applications are followed: then the focus is told."""
        self._host.execute("guest-event-subscribe", events=["*"])
        while b"APP_FOCUSED" not in self._host.read_line():
            pass

    def apps(self) -> int:
        """How many applications there are, by the agent."""
        return len(self._host.execute("session-list-apps", session="active")["apps"])

    def told(self) -> Counter[str]:
        """The events that came since the last time, by name; after the last of them."""
        data = b""
        self._host.sock.settimeout(QUIET_SECONDS)
        with suppress(TimeoutError):
            while piece := self._host.sock.recv(1 << 20):
                data += piece
        return Counter(json.loads(line)["event"] for line in data.splitlines())


@contextmanager
def session_agent(directory: Path, server: XServer) -> Iterator[Watched]:
    """Run one, with an eventd and buses of its own, from when it serves on."""
    directory.mkdir()
    with ExitStack() as stack:
        address, session = stack.enter_context(bus_with_session(directory))
        own = stack.enter_context(private_bus())
        daemon = stack.enter_context(eventd(directory, address))
        command = shipped("guestmux_session", "--bus", address, "--session", session)
        variables = environment() | server.environment | {"DBUS_SESSION_BUS_ADDRESS": own.address}
        agent = stack.enter_context(running(command, variables, directory / "agent.log"))
        host = connect(daemon.qmp)
        stack.callback(host.close)
        host.read_line()
        host.execute("qmp_capabilities")
        while b'"session-list-apps"' not in host.ask(b'{"execute":"guest-info"}\n'):
            pass
        yield Watched(agent.pid, host)


@contextmanager
def spy(directory: Path, server: XServer) -> Iterator[int]:
    """Run `SPY`; gives its process's number."""
    variables = {**os.environ, **server.environment}
    with running(SPY, variables, directory / "spy.log") as process:
        yield process.pid
