"""Files and programs, and a ping to compare with, beside qemu-ga: guestmux-qga, and eventd with a system agent."""

from __future__ import annotations

import base64
import json
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.core.figures import percentile
from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers import guestmux_qga, qemu_ga, system_agent
from benchmarks.peers.pair import PING
from benchmarks.peers.raw_client import BATCH, RawClient, connect

PINGS = 2000
PIPELINED = 40_000
PROGRAMS = 200
CHUNKS = 48

CHUNK_BYTES = 1 << 20
"""Bytes of one read and one write."""

READ, WRITE = "file-read, 1 MiB at a time", "file-write, 1 MiB at a time"

MEASURES = [
    Measure("guest-ping p50", "µs"),
    Measure("pipelined pings", "/s", more_is_better=True),
    Measure(READ, "MB/s", more_is_better=True),
    Measure(WRITE, "MB/s", more_is_better=True),
    Measure("/bin/true until its status p50", "µs"),
]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        for name, path in _paths(folder, stack).items():
            host = connect(path)
            stack.callback(host.close)
            sides[name] = partial(_sample, host, folder, scale)
        rounds = take_turns("verbs", sides, scale.rounds)
    ours = [name for name in sides if name != qemu_ga.NAME]
    return [row for name in ours for row in rounds.rows(MEASURES, name, qemu_ga.NAME)]


def _paths(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Where each listens."""
    paths = {
        qemu_ga.NAME: stack.enter_context(qemu_ga.qemu_ga(folder))[1],
        guestmux_qga.NAME: stack.enter_context(guestmux_qga.guestmux_qga(folder))[1],
    }
    if os.getuid() == 0:
        paths[system_agent.NAME] = stack.enter_context(system_agent.system_agent(folder))
    return paths


def _sample(host: RawClient, folder: Path, scale: Scale) -> Sample:
    batches = scale.count(PIPELINED) // BATCH
    return {
        "guest-ping p50": percentile(host.latencies_us(PING, scale.count(PINGS)), 50),
        "pipelined pings": batches * BATCH / host.pipelined(PING, batches),
        WRITE: _write(host, folder / "file", scale.count(CHUNKS)),
        READ: _read(host, folder / "file", scale.count(CHUNKS)),
        "/bin/true until its status p50": percentile(
            [_program(host) for _ in range(scale.count(PROGRAMS))], 50
        ),
    }


def _write(host: RawClient, path: Path, chunks: int) -> float:
    handle = host.execute("guest-file-open", path=str(path), mode="w")
    text = base64.b64encode(os.urandom(CHUNK_BYTES)).decode()
    arguments = {"handle": handle, "buf-b64": text}
    request = json.dumps({"execute": "guest-file-write", "arguments": arguments}).encode() + b"\n"
    begun = time.perf_counter()
    for _ in range(chunks):
        host.ask(request)
    seconds = time.perf_counter() - begun
    host.execute("guest-file-close", handle=handle)
    return chunks * CHUNK_BYTES / 1e6 / seconds


def _read(host: RawClient, path: Path, chunks: int) -> float:
    handle = host.execute("guest-file-open", path=str(path), mode="r")
    arguments = {"handle": handle, "count": CHUNK_BYTES}
    request = json.dumps({"execute": "guest-file-read", "arguments": arguments}).encode() + b"\n"
    begun = time.perf_counter()
    for _ in range(chunks):
        host.ask(request)
    seconds = time.perf_counter() - begun
    host.execute("guest-file-close", handle=handle)
    return chunks * CHUNK_BYTES / 1e6 / seconds


def _program(host: RawClient) -> float:
    """Microseconds from asking for it until its end is told."""
    begun = time.perf_counter_ns()
    pid = host.execute("guest-exec", path="/bin/true")["pid"]
    while not host.execute("guest-exec-status", pid=pid)["exited"]:
        pass
    return (time.perf_counter_ns() - begun) / 1000
