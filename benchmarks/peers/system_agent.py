"""eventd with a system agent behind it, which needs root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.eventd import eventd
from benchmarks.peers.processes import environment, running, shipped
from benchmarks.peers.raw_client import RawClient, connect
from tests.support.dbus_daemon import private_bus

NAME = "eventd + system agent"


@contextmanager
def system_agent(directory: Path) -> Iterator[str]:
    """Run them; gives the path of the qga port."""
    config = directory / "system-agent.toml"
    config.touch()
    variables = environment() | {"RUNTIME_DIRECTORY": str(directory)}
    with private_bus() as bus, eventd(directory, bus.address) as daemon:
        command = shipped("guestmux_session", "--system", "--bus", bus.address, "--config", str(config))
        with running(command, variables, directory / "agent.log"):
            _wait(connect(daemon.qga))
            yield daemon.qga


def _wait(host: RawClient) -> None:
    """Until the agent serves."""
    while b'"guest-exec"' not in host.ask(b'{"execute":"guest-info"}\n'):
        pass
    host.close()
