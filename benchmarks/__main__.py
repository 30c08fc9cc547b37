"""Measures guestmux beside its peers and prints a table with ratios."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    agents,
    calls,
    channel,
    desktop,
    events,
    idle,
    journal,
    latency,
    memory,
    pipeline,
    startup,
    stream_latency,
    streams,
    verbs,
)
from benchmarks.core.machine import load, shape
from benchmarks.core.plots import draw
from benchmarks.core.rounds import FULL, QUICK, Row, Scale
from benchmarks.core.table import as_json, show
from guestmux_transport.allocator import keep_little

BENCHMARKS: dict[str, Callable[[Path, Scale], list[Row]]] = {
    "latency": latency.run,
    "pipeline": pipeline.run,
    "verbs": verbs.run,
    "memory": memory.run,
    "startup": startup.run,
    "idle": idle.run,
    "calls": calls.run,
    "events": events.run,
    "journal": journal.run,
    "channel": channel.run,
    "streams": streams.run,
    "stream-latency": stream_latency.run,
    "agents": agents.run,
    "desktop": desktop.run,
}

LEGEND = (
    "median (lowest–highest) of the rounds; ours / peer: of each round; ↓ less is better, ↑ more is better"
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"what to run (default: all): {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--quick", action="store_true", help="a third of the rounds, a quarter of the requests"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--plots", metavar="FOLDER", type=Path, help="draw the figures there as PNGs (needs the extra bench)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.name) - BENCHMARKS.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    # What asks is to be no slower than need be: its time is in every figure.
    keep_little()
    # Whatever ends this ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machine = {**shape(), "load before": f"{load():.1f}"}
    rows = _measure(options.name or list(BENCHMARKS), QUICK if options.quick else FULL)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    show(rows)
    print(LEGEND)
    if options.plots:
        for path in draw(rows, options.plots):
            print(path)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": [*map(as_json, rows)]}, indent=1))
    return 0


def _measure(names: Sequence[str], scale: Scale) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="guestmux-bench-") as folder:
        _keep_byte_code(Path(folder))
        for name in names:
            begun = time.monotonic()
            print(f"{name} …", end=" ", file=sys.stderr, flush=True)
            (Path(folder) / name).mkdir()
            rows += BENCHMARKS[name](Path(folder) / name, scale)
            print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    return rows


def _keep_byte_code(folder: Path) -> None:
    """Have every process find its byte code compiled, as where a package is installed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")


if __name__ == "__main__":
    sys.exit(main())
