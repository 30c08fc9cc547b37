"""A host made with the SDK on the mux dialect, eventd, and an agent with a channel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.eventd import Eventd, eventd
from benchmarks.peers.sdk_orders import SdkHost, sdk_host
from benchmarks.peers.worker import Worker, worker

POLICY = """\
[[policy]]
deny = ["guest-shutdown", "guest-set-*"]
"""
"""A site's policy, as a usual one: it is looked at for every command."""


@dataclass(frozen=True, slots=True)
class MuxChain:
    """A running chain.

    Attributes:
        eventd: the daemon.
        agent: the agent's process, which emits when told to.
        host: the host.
    """

    eventd: Eventd
    agent: Worker
    host: SdkHost


@contextmanager
def mux_chain(folder: Path, bus: tuple[str, str], way: str = "channel") -> Iterator[MuxChain]:
    """Run one.

    Args:
        folder: for sockets and logs.
        bus: the address of the bus, and the session that the agent is in.
        way: the agent's way to eventd; see `benchmarks.peers.agent`.
    """
    address, session = bus
    config = folder / "eventd.toml"
    config.write_text(POLICY)
    with (
        eventd(folder, address, config=config) as daemon,
        worker(folder, "benchmarks.peers.agent", address, session, way) as agent,
        sdk_host(folder, daemon.qmp, session) as host,
    ):
        yield MuxChain(daemon, agent, host)
