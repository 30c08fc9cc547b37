"""The plain D-Bus round trip, ready to be measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.worker import Worker, worker

KINDS = ("adapter", "bare")

_MODULE = "benchmarks.peers.plain"


@contextmanager
def plain_caller(folder: Path, address: str, kind: str, shape: str, library: str) -> Iterator[Worker]:
    """Who calls, while who answers runs as well, each in a process of its own.

    Args:
        folder: where their logs are.
        address: the bus.
        kind: one of KINDS: our adapter, or the library's own connection.
        shape: the arguments and the answer: `call` or `emit`.
        library: the D-Bus library.
    """
    with (
        worker(folder, _MODULE, "service", kind, shape, address, library=library),
        worker(folder, _MODULE, "caller", kind, shape, address, library=library) as caller,
    ):
        yield caller
