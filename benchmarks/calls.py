"""host → eventd → agent → eventd → host, beside the plain D-Bus round trip of the same library on the same bus."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.chain import Chain, chain
from benchmarks.peers.libraries import libraries
from benchmarks.peers.plain_pair import KINDS, plain_caller
from benchmarks.peers.worker import WINDOW, Order, Worker

CALLS = {"dbus-fast": 600, "dbus-next": 200}
"""Calls in a round: some half a second with either library."""

ALONE = [Measure("call p50", "µs"), Measure("call p99", "µs")]
TOGETHER = [Measure(f"calls, {WINDOW} at once", "/s", more_is_better=True)]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    return [row for library in libraries() for row in _rows(folder, scale, library)]


def _rows(folder: Path, scale: Scale, library: str) -> list[Row]:
    order = Order(scale.count(CALLS[library]))
    names = {kind: f"D-Bus, {kind} {library}" for kind in KINDS}
    ours = f"chain, {library}"
    with bus_with_session(folder) as bus, chain(folder, bus, library) as guest, ExitStack() as stack:
        sides: dict[str, Side] = {ours: partial(_chain_sample, guest, order)}
        for kind, name in names.items():
            caller = stack.enter_context(plain_caller(folder, bus[0], kind, "call", library))
            sides[name] = partial(_plain_sample, caller, order)
        rounds = take_turns("calls", sides, scale.rounds)
    adapter, bare = names.values()
    return [
        *rounds.rows([*ALONE, *TOGETHER], ours, adapter),
        *rounds.rows(ALONE[:1], ours, bare),
        *rounds.rows([*ALONE[:1], *TOGETHER], adapter, bare),
    ]


def _chain_sample(guest: Chain, order: Order) -> Sample:
    alone = guest.calls(order.count)
    together = guest.calls_at_once(Order(order.count, WINDOW))
    return _named(alone["p50"], alone["p99"], together["rate"])


def _plain_sample(caller: Worker, order: Order) -> Sample:
    alone = caller.run(order).sample()
    together = caller.run(Order(order.count, WINDOW)).sample()
    return _named(alone["p50"], alone["p99"], together["rate"])


def _named(p50: float, p99: float, rate: float) -> Sample:
    return {ALONE[0].name: p50, ALONE[1].name: p99, TOGETHER[0].name: rate}
