"""eventd and qemu-ga side by side, each with a host that asks in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from benchmarks.peers.eventd import eventd
from benchmarks.peers.qemu_ga import qemu_ga
from benchmarks.peers.raw_client import RawClient, connect
from tests.support.dbus_daemon import private_bus

PING = b'{"execute":"guest-ping"}\n'


@dataclass(frozen=True, slots=True)
class Served:
    """One of the two.

    Attributes:
        process: the agent.
        path: the socket that it listens on.
        host: a connection to it, which has had an answer.
    """

    process: Popen[str]
    path: str
    host: RawClient


@contextmanager
def pair(folder: Path) -> Iterator[tuple[Served, Served]]:
    """Run eventd and qemu-ga for as long as the block lasts."""
    with private_bus() as bus, eventd(folder, bus.address) as ours, qemu_ga(folder) as (theirs, path):
        served = (_serve(ours.process, ours.qga), _serve(theirs, path))
        yield served
        for each in served:
            each.host.close()


def _serve(process: Popen[str], path: str) -> Served:
    host = connect(path)
    host.ask(PING)
    return Served(process, path, host)
