"""`python -m tests.chaos.sdk_process SOCKET RECORD POSITION PATTERN...`: a host of the library, with a durable stream.

The library writes its position a little after the consumer is done with an event, so that one that was killed is given
some again: it knows them by their numbers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import anyio

import guestmux
from tests.chaos.host_process import RECONNECT_SECONDS, Journal
from tests.chaos.records import Connected, Lost, Said

MAX_EVENTS = 1_000_000
"""Events that wait for the consumer: it is not what this is about."""


async def listen(socket: str, journal: Journal, position: str, events: list[str]) -> None:
    """Write down what is new until the guest is gone for good."""
    async with (
        guestmux.connect(f"unix:{socket}") as guest,
        guest.events(*events, durable=position, max_events=MAX_EVENTS) as stream,
    ):
        if journal.position is None and (begin := stream.position) is not None:
            here = begin.epoch, begin.seq
            journal.write([Connected(time.time(), *here, *here)])
        async for item in stream:
            record = _record(item, stream.position)
            if record is not None and (new := _new(record, journal.position)) is not None:
                journal.write([new])


def _record(item: object, position: guestmux.Position | None) -> Lost | Said | None:
    now = time.time()
    if isinstance(item, guestmux.Gap) and position is not None:
        names = list(item.names) or None
        return Lost(now, position.epoch, position.seq, item.first, item.last, item.reason, names)
    if isinstance(item, guestmux.Event) and item.seq is not None:
        data = {name: value for name, value in item.data.items() if name not in ("epoch", "seq")}
        at = item.seconds + item.microseconds / 1_000_000
        return Said(now, item.epoch, item.seq, item.name, data, at)
    return None


def _new(record: Lost | Said, position: tuple[str, int] | None) -> Lost | Said | None:
    """What of it was not written down before the process was killed: numbers go on from run to run."""
    last = record.last if isinstance(record, Lost) else record.seq
    if position is None or last <= position[1]:
        return None if position else record
    if isinstance(record, Lost) and 0 < record.first <= position[1]:
        stands = (record.epoch, record.last) if record.names is None else position
        return Lost(record.time, *stands, position[1] + 1, last, record.reason, record.names)
    return record


async def run(socket: str, journal: Journal, position: str, events: list[str]) -> None:
    """Listen, for ever."""
    while True:
        try:
            await listen(socket, journal, position, events)
        except* guestmux.ConnectError:
            await anyio.sleep(RECONNECT_SECONDS)


def main() -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("record", type=Path)
    parser.add_argument("position")
    parser.add_argument("events", nargs="+")
    options = parser.parse_args()
    anyio.run(run, options.socket, Journal(options.record), options.position, options.events)


if __name__ == "__main__":
    main()
