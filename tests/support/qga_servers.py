"""The servers that speak as qemu-ga does: it itself, guestmux-qga, and eventd with a system agent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agents import OURS, START_PATIENCE, STOCK, AgentProcess, Client
from tests.support.dbus_daemon import private_bus
from tests.support.eventd import running_eventd
from tests.support.qemu_ga import QEMU_GA

PROGRAMS = {"stock": STOCK, "guestmux-qga": OURS}
SERVERS = [*PROGRAMS, "eventd"]


@dataclass
class QgaServer:
    """One of them, running.

    Attributes:
        name: which.
        path: its socket.
    """

    name: str
    path: str

    def connect(self) -> Client:
        """A host."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path)
        return Client(connection)


def start_server(name: str, directory: Path, stack: ExitStack) -> QgaServer:
    """Start one; it ends with the stack."""
    if name == "stock" and QEMU_GA is None:
        pytest.skip("qemu-ga is not installed")
    if name == "eventd":
        return _start_eventd(directory, stack)
    process = stack.enter_context(AgentProcess(PROGRAMS[name], directory))
    return QgaServer(name, process.path)


def _start_eventd(directory: Path, stack: ExitStack) -> QgaServer:
    if os.geteuid():
        pytest.skip("the system agent needs root")
    bus = stack.enter_context(private_bus())
    eventd = stack.enter_context(running_eventd(bus.address))
    stack.enter_context(_system_agent(bus.address, directory))
    server = QgaServer("eventd", eventd.qga)
    deadline = time.monotonic() + START_PATIENCE
    with server.connect() as host:
        while "guest-exec" not in str(host.ask("guest-info")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    return server


@contextmanager
def _system_agent(bus: str, directory: Path) -> Iterator[None]:
    config = directory / "system-agent.toml"
    config.touch()
    command = [sys.executable, "-m", "guestmux_session", "--system", "--bus", bus, "--config", str(config)]
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(directory)}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stderr=log)
        try:
            yield
            process.terminate()
            assert process.wait(60) == 0, (directory / "log").read_text()
        finally:
            process.kill()
            process.wait()
