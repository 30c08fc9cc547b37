"""`python -m tests.chaos.host_process SOCKET RECORD PATTERN...`: a host that goes on where it was killed.

Its position is in what it heard, and that is written at once: there is no moment at which the one is on disk and not
the other.
"""

from __future__ import annotations

import argparse
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.records import TICK, Claims, Connected, Lost, Record, Said, encode, position_after, take_up

RECONNECT_SECONDS = 0.05
CHUNK = 1 << 18

_decode = msgspec.json.Decoder().decode


class GuestGone(Exception):
    """The connection ended, or there is none."""


class Journal:
    """The record of one host.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        last = take_up(path)
        self.position = position_after(last) if last is not None else None
        self._file = path.open("ab", buffering=0)

    def write(self, records: list[Record]) -> None:
        """Have them on record, all at once."""
        if records:
            self._file.write(b"".join([encode(record) + b"\n" for record in records]))
            self.position = position_after(records[-1])


class Line:
    """A connection to the guest.

    Args:
        path: of the socket.

    Raises:
        GuestGone: nobody listens there.
    """

    def __init__(self, path: str) -> None:
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise GuestGone from error

    def close(self) -> None:
        self._socket.close()

    def lines(self, limit: int) -> list[bytes]:
        """The next whole lines: those of one `recv`.

        Raises:
            GuestGone: there are no more.
        """
        while True:
            try:
                data = self._socket.recv(limit)
            except OSError as error:
                raise GuestGone from error
            if not data:
                raise GuestGone
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            if lines:
                return lines

    def ask(self, command: str, **arguments: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request; gives its answer and the lines behind it.

        Raises:
            GuestGone: it is not answered.
        """
        request = {"execute": command, "arguments": arguments, "id": command}
        try:
            self._socket.sendall(msgspec.json.encode(request))
        except OSError as error:
            raise GuestGone from error
        while True:
            lines = self.lines(CHUNK)
            for index, line in enumerate(lines):
                answer = _decode(line)
                if answer.get("id") == command:
                    return answer["return"], lines[index + 1 :]


class Host:
    """A host.

    Args:
        path: of the guest's socket.
        journal: its record.
        events: what it subscribes to.
        pace: bytes a second that it reads, until it is told to hurry; None: all that comes.
    """

    def __init__(self, path: str, journal: Journal, events: list[str], pace: float | None) -> None:
        self._path = path
        self._journal = journal
        self._events = events
        self._pace = pace
        self._hurry = threading.Event()

    def hurry(self, *_signal: object) -> None:
        """Read all that comes from here on."""
        self._hurry.set()

    def run(self) -> None:
        """Listen, for ever."""
        while True:
            try:
                line = Line(self._path)
            except GuestGone:
                time.sleep(RECONNECT_SECONDS)
                continue
            try:
                self._listen(line)
            except GuestGone:
                time.sleep(RECONNECT_SECONDS)
            finally:
                line.close()

    def _listen(self, line: Line) -> None:
        line.ask("qmp_capabilities")
        since = self._journal.position
        wanted: dict[str, Any] = {"events": self._events}
        if since is not None:
            wanted["since"] = {"epoch": since[0], "seq": since[1]}
        reply, early = line.ask("guest-event-subscribe", **wanted)
        at = since or (reply["epoch"], reply["seq"])
        self._journal.write([Connected(time.time(), reply["epoch"], reply["seq"], *at)])
        self._journal.write(heard(early))
        while True:
            self._journal.write(heard(line.lines(self._patience())))

    def _patience(self) -> int:
        """How much to read now; waits where it has to be slow."""
        if self._pace is None or self._hurry.is_set():
            return CHUNK
        if self._pace == 0:
            self._hurry.wait()
        else:
            self._hurry.wait(4096 / self._pace)
        return 4096


def heard(lines: list[bytes]) -> list[Record]:
    """What these lines say."""
    now = time.time()
    records: list[Record] = []
    claims: list[Any] | None = None
    for line in lines:
        message = _decode(line)
        name, data = message["event"], message["data"]
        if name != TICK:
            _close(records, claims)
            claims = None
            records.append(_verified(now, name, data, message["timestamp"]))
            continue
        seq, whence, n = data["seq"], (data["epoch"], data["agent"], data["life"]), data["n"]
        if claims is not None and claims[0] == whence and claims[2] == seq - 1 and claims[4] == n - 1:
            claims[2], claims[4] = seq, n
        else:
            _close(records, claims)
            claims = [whence, seq, seq, n, n, now]
    _close(records, claims)
    return records


def _close(records: list[Record], claims: list[Any] | None) -> None:
    if claims is not None:
        (epoch, agent, life), first, last, n, _last_n, now = claims
        records.append(Claims(now, epoch, first, last, agent, life, n))


def _verified(now: float, name: str, data: dict[str, Any], stamp: dict[str, int]) -> Record:
    epoch, seq = data.pop("epoch"), data.pop("seq")
    if name == "EVENTS_LOST":
        return Lost(now, epoch, seq, data["from"], data["to"], data["reason"], data.get("names"))
    return Said(now, epoch, seq, name, data, stamp["seconds"] + stamp["microseconds"] / 1_000_000)


def main() -> None:
    """Run a host until it is killed; SIGUSR1 has a slow one hurry."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("record", type=Path)
    parser.add_argument("events", nargs="+")
    parser.add_argument("--pace", type=float)
    options = parser.parse_args()
    host = Host(options.socket, Journal(options.record), options.events, options.pace)
    signal.signal(signal.SIGUSR1, host.hurry)
    host.run()


if __name__ == "__main__":
    main()
