"""What a host heard, as it writes it down: the only thing that the referee believes of it."""

from __future__ import annotations

from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

TICK = "__org.guestmux.chaos_TICK"
"""The event that every agent of this test emits: the agent's life and a number that goes up by one."""

TAIL_BYTES = 1 << 16
"""Bytes at the end of a record in which the last line is looked for; most have a hundred."""


class Connected(msgspec.Struct, tag="c", array_like=True, frozen=True):
    """It subscribed.

    Attributes:
        time: seconds since the epoch, of the host's clock; as everywhere here.
        epoch: of the reply.
        seq: of the reply.
        since_epoch: where it stands.
        since_seq: where it stands.
    """

    time: float
    epoch: str
    seq: int
    since_epoch: str
    since_seq: int


class Said(msgspec.Struct, tag="e", array_like=True, frozen=True):
    """An event that is not an agent's, with the guest's time of it in `at`."""

    time: float
    epoch: str
    seq: int
    name: str
    data: dict[str, Any]
    at: float


class Claims(msgspec.Struct, tag="r", array_like=True, frozen=True):
    """Events of one agent with consecutive numbers, in whose data its own numbers, from `n` on, are consecutive."""

    time: float
    epoch: str
    first: int
    last: int
    agent: str
    life: str
    n: int

    @property
    def last_n(self) -> int:
        """The agent's number in the last of them."""
        return self.n + self.last - self.first


class Lost(msgspec.Struct, tag="l", array_like=True, frozen=True):
    """An EVENTS_LOST."""

    time: float
    epoch: str
    seq: int
    first: int
    last: int
    reason: str
    names: list[str] | None


Record = Connected | Said | Claims | Lost

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def read_records(path: Path) -> Iterator[Record]:
    """All of a file, in order; not what a host that was killed left unfinished."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield _decode(line)


def position_after(record: Record) -> tuple[str, int]:
    """Where a host stands that has heard this."""
    if isinstance(record, Connected):
        return record.since_epoch, record.since_seq
    return record.epoch, record.last if isinstance(record, Claims) else record.seq


def take_up(path: Path) -> Record | None:
    """Cut off what a host that was killed left unfinished; returns its last record, None where there is none."""
    with path.open("ab+") as file:
        last, whole = _last(file)
        file.truncate(whole)
        return last


def read_last(path: Path) -> Record | None:
    """The last record of a file that is being written; None where there is none."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return _last(file)[0]


def _last(file: BinaryIO) -> tuple[Record | None, int]:
    """The last whole line, and where it ends."""
    size = file.seek(0, SEEK_END)
    file.seek(max(size - TAIL_BYTES, 0))
    lines, _, unfinished = file.read().rpartition(b"\n")
    return (_decode(lines.rpartition(b"\n")[2]) if lines else None), size - len(unfinished)
