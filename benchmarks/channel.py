"""Calls and events through the agent's channel, beside the same through D-Bus; calls beside bare hops, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.core.figures import percentile
from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.async_hops import async_hops
from benchmarks.peers.bare_hops import bare_hops, echoing
from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.chain import Chain, call_line, chain
from benchmarks.peers.least_hops import least_hops
from benchmarks.peers.mux_chain import MuxChain, mux_chain
from benchmarks.peers.raw_client import RawClient, connect
from benchmarks.peers.sdk_orders import Beside
from benchmarks.peers.worker import TEXT, WINDOW, Order

CALLS = 1000
EVENTS = 2000
POSTS = 60_000
"""Events of which nobody waits for the number; at full speed less than half a second."""

CALL_P50, CALL_P99 = Measure("call p50", "µs"), Measure("call p99", "µs")
CALLS_RATE = Measure(f"calls, {WINDOW} at once", "/s", more_is_better=True)
EVENTS_RATE = Measure("events", "/s", more_is_better=True)

BUS, CHANNEL, POSTED = "agent on D-Bus", "agent's channel", "channel, posted"
SDK, HOPS, ASYNC_HOPS = "channel, SDK on mux", "two hops, Python", "two hops, asyncio"
LEAST = "JSON and frames alone"


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    with ExitStack() as stack:
        guests = {way: stack.enter_context(_guest(folder / way, way)) for way in ("bus", "channel", "post")}
        sdk = stack.enter_context(_sdk_guest(folder / "sdk"))
        echo = echoing(stack.enter_context(bare_hops(folder)).path)
        async_echo = connect(stack.enter_context(async_hops(folder)))
        least = connect(stack.enter_context(least_hops(folder)))
        sides: dict[str, Side] = {
            BUS: partial(_chain_sample, guests["bus"], scale),
            CHANNEL: partial(_chain_sample, guests["channel"], scale),
            POSTED: partial(_posts_sample, guests["post"], scale),
            SDK: partial(_sdk_sample, sdk, scale),
            HOPS: partial(_hops_sample, echo, scale),
            ASYNC_HOPS: partial(_hops_sample, async_echo, scale),
            LEAST: partial(_least_sample, least, scale),
        }
        rounds = take_turns("channel", sides, scale.rounds)
        echo.close()
        async_echo.close()
        least.close()
    return [
        *rounds.rows([CALL_P50, CALL_P99, CALLS_RATE, EVENTS_RATE], CHANNEL, BUS),
        *rounds.rows([EVENTS_RATE], POSTED, BUS),
        *rounds.rows([EVENTS_RATE], SDK, BUS),
        *rounds.rows([CALL_P50, CALL_P99], CHANNEL, HOPS, ASYNC_HOPS, LEAST),
        *rounds.rows([CALL_P50], LEAST, HOPS),
        *rounds.rows([CALL_P50, CALL_P99], SDK, HOPS, ASYNC_HOPS),
    ]


@contextmanager
def _guest(folder: Path, way: str) -> Iterator[Chain]:
    folder.mkdir()
    with bus_with_session(folder) as bus, chain(folder, bus, way=way) as guest:
        yield guest


@contextmanager
def _sdk_guest(folder: Path) -> Iterator[MuxChain]:
    folder.mkdir()
    with bus_with_session(folder) as bus, mux_chain(folder, bus, "post") as guest:
        yield guest


def _chain_sample(guest: Chain, scale: Scale) -> Sample:
    calls = guest.calls(scale.count(CALLS))
    together = guest.calls_at_once(Order(scale.count(CALLS), WINDOW))
    events = guest.events(Order(scale.count(EVENTS), WINDOW))
    return {
        CALL_P50.name: calls["p50"],
        CALL_P99.name: calls["p99"],
        CALLS_RATE.name: together["rate"],
        EVENTS_RATE.name: events["rate"],
    }


def _posts_sample(guest: Chain, scale: Scale) -> Sample:
    return {EVENTS_RATE.name: guest.events(Order(scale.count(POSTS)))["rate"]}


def _sdk_sample(guest: MuxChain, scale: Scale) -> Sample:
    count = scale.count(POSTS)
    calls = guest.host.beside(Beside(calls=scale.count(CALLS))).calls_us
    guest.host.listen(Beside(events=count))
    emitted, heard = guest.agent.run(Order(count)), guest.host.heard()
    return {
        CALL_P50.name: percentile(calls, 50),
        CALL_P99.name: percentile(calls, 99),
        EVENTS_RATE.name: count / (heard.last_event - emitted.begun) * 1e9,
    }


def _hops_sample(echo: RawClient, scale: Scale) -> Sample:
    return _call_sample(echo, TEXT.encode() + b"\n", scale)


def _least_sample(least: RawClient, scale: Scale) -> Sample:
    return _call_sample(least, call_line("c1"), scale)


def _call_sample(client: RawClient, request: bytes, scale: Scale) -> Sample:
    taken = client.latencies_us(request, scale.count(CALLS))
    return {CALL_P50.name: percentile(taken, 50), CALL_P99.name: percentile(taken, 99)}
