"""A session agent on a desktop: what it costs while nobody listens, and while somebody hears of everything."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import anyio

from benchmarks.core.rounds import Measure, Rounds, Row, Sample, Scale
from benchmarks.peers.desktop import Watched, session_agent, spy
from benchmarks.peers.usage import Usage, resident_mib, usage
from tests.support.x_server import XServer, x_server
from tests.support.x_windows import Windows

LISTENING, UNHEARD, SPY = "agent, all events", "agent, no subscriber", "xprop -spy"

REST_SECONDS, FOCUS_SECONDS = 30.0, 10.0

CHANGES = 100
"""Of the focus, in a second."""

WINDOWS = 1000
"""Opened in half a second, and closed in the other half."""

STEPS = 20
"""Times in a second that windows are opened or closed."""

SETTLE_SECONDS = 2.0
"""For what is still to be looked at and told."""

ROUNDS = 2

REST = Measure("at rest: wake-ups", "/min")
FOCUS_CPU = Measure(f"{CHANGES} focus changes/s: CPU", "ms/s")
FOCUS_WAKEUPS = Measure(f"{CHANGES} focus changes/s: wake-ups", "/s")
BURST_CPU = Measure(f"{WINDOWS:,} windows in a second: CPU", "ms")
GROWN = Measure("… memory more than before", "MiB")
GROWN_AGAIN = Measure("… and more after the next", "MiB")
STARTS = Measure("… starts told", "", more_is_better=True)
UNENDED = Measure("… starts without an exit", "")
FOCUSED = Measure("… changes of focus told", "")
MEMORY = Measure("resident memory", "MiB")

Pids = Mapping[str, int]
"""The processes that are measured, by the side's name."""


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    missing = [program for program in ("Xvfb", "xprop") if shutil.which(program) is None]
    if missing:
        print(f"desktop: not measured, not installed: {', '.join(missing)}")
        return []
    with x_server(folder) as server:
        return _rows(folder, scale, server)


def _rows(folder: Path, scale: Scale, server: XServer) -> list[Row]:
    samples: dict[str, list[Sample]] = {LISTENING: [], UNHEARD: [], SPY: []}
    for number in range(ROUNDS):
        for name, sample in _round(folder / str(number), server, scale.seconds).items():
            samples[name].append(sample)
    rounds = Rounds("desktop", samples)
    both = [REST, FOCUS_CPU, FOCUS_WAKEUPS, BURST_CPU, GROWN, GROWN_AGAIN, MEMORY]
    rows = [row for measure in both for row in rounds.rows([measure], LISTENING, UNHEARD, SPY)]
    return rows + rounds.rows([STARTS, UNENDED, FOCUSED], LISTENING, UNHEARD)


def _round(folder: Path, server: XServer, scale: float) -> dict[str, Sample]:
    """All of them at once, so that they see the same."""
    folder.mkdir()
    with (
        session_agent(folder / "listening", server) as listening,
        session_agent(folder / "unheard", server) as unheard,
        spy(folder, server) as spying,
    ):
        pids = {LISTENING: listening.pid, UNHEARD: unheard.pid, SPY: spying}
        return anyio.run(_measure, server, pids, scale, (listening, unheard))


async def _measure(
    server: XServer, pids: Pids, scale: float, agents: tuple[Watched, Watched]
) -> dict[str, Sample]:
    windows = await Windows.on(server)
    await _open(windows, 2)
    agents[0].subscribe()
    samples = await _sampled(windows, pids, scale, agents)
    windows.close()
    return samples


async def _sampled(
    windows: Windows, pids: Pids, scale: float, agents: tuple[Watched, Watched]
) -> dict[str, Sample]:
    listening = agents[0]
    listening.told()
    rest = await _used(pids, partial(anyio.sleep, REST_SECONDS * scale))
    # Not before: an agent looks once more at a call's deadline, long after its answer.
    if [agent.apps() for agent in agents] != [2, 2]:
        raise RuntimeError("an agent does not see the applications")
    focus = await _used(pids, partial(_change_focus, windows, FOCUS_SECONDS * scale))
    listening.told()
    before = {name: resident_mib(pid) for name, pid in pids.items()}
    burst = await _used(pids, partial(_burst, windows))
    told = {LISTENING: listening.told()}
    after = {name: resident_mib(pid) for name, pid in pids.items()}
    await _burst(windows)
    return {
        name: {
            REST.name: rest[name].wakeups / REST_SECONDS / scale * 60,
            FOCUS_CPU.name: focus[name].cpu_us / 1000 / FOCUS_SECONDS / scale,
            FOCUS_WAKEUPS.name: focus[name].wakeups / FOCUS_SECONDS / scale,
            BURST_CPU.name: burst[name].cpu_us / 1000,
            GROWN.name: after[name] - before[name],
            GROWN_AGAIN.name: resident_mib(pid) - after[name],
            MEMORY.name: resident_mib(pid),
            **_counts(told.get(name, Counter())),
        }
        for name, pid in pids.items()
    }


def _counts(told: Counter[str]) -> Sample:
    return {
        STARTS.name: told["APP_STARTED"],
        UNENDED.name: told["APP_STARTED"] - told["APP_EXITED"],
        FOCUSED.name: told["APP_FOCUSED"],
    }


async def _used(pids: Pids, doing: Callable[[], Awaitable[None]]) -> dict[str, Usage]:
    """What each used while something was done, and for what it had to do after that."""
    before = {name: usage(pid) for name, pid in pids.items()}
    await doing()
    return {name: usage(pid) - before[name] for name, pid in pids.items()}


async def _change_focus(windows: Windows, seconds: float) -> None:
    begun = anyio.current_time()
    for number in range(round(CHANGES * seconds)):
        await windows.activate(windows.open[number % 2])
        await anyio.sleep_until(begun + (number + 1) / CHANGES)


async def _burst(windows: Windows) -> None:
    """Open all of them within half a second, close them within the other half, and let all be looked at."""
    begun = anyio.current_time()
    each = WINDOWS * 2 // STEPS
    for step in range(STEPS):
        if step < STEPS // 2:
            await _open(windows, each)
        else:
            for window in windows.open[-each:]:
                windows.destroy(window)
            await windows.list()
        await windows.activate(windows.open[-1])
        await anyio.sleep_until(begun + (step + 1) / STEPS)
    await anyio.sleep(SETTLE_SECONDS)


async def _open(windows: Windows, count: int) -> None:
    for _ in range(count):
        await windows.make(b"some\0app-%d\0" % len(windows.open))
    await windows.list()
    await windows.settled()
