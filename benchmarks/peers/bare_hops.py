"""Two bare hops: a far end, and a relay before it, each a process with blocking sockets and nothing else.

`python -m benchmarks.peers.bare_hops PATH` is the far end: it does what a connection's first bytes say.
`python -m benchmarks.peers.bare_hops PATH TARGET` is the relay: what comes at PATH is passed on to TARGET, and back.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from threading import Thread
from typing import NamedTuple

from benchmarks.peers.processes import environment, python, running
from benchmarks.peers.raw_client import RawClient, connect

FRAME_BYTES = 64 * 1024
"""Of each read and write: what one DATA frame of the mux dialect carries at most."""

SEND, TAKE, ECHO = b"s", b"t", b"e"
"""Send so many bytes; take so many and say DONE; give back what comes."""

COUNT_BYTES = 8
DONE = b"."


class Hops(NamedTuple):
    """Running hops.

    Attributes:
        path: the relay's.
        pids: of far end and relay.
    """

    path: str
    pids: tuple[int, ...]


@contextmanager
def bare_hops(folder: Path) -> Iterator[Hops]:
    """Far end and relay, in Python."""
    far, near = folder / "bare-far", folder / "bare-near"
    with ExitStack() as stack:
        far_pid = _run(stack, python("benchmarks.peers.bare_hops", str(far)), folder, far)
        near_pid = _run(stack, python("benchmarks.peers.bare_hops", str(near), str(far)), folder, near)
        yield Hops(str(near), (far_pid, near_pid))


@contextmanager
def socat_hops(folder: Path) -> Iterator[Hops]:
    """The same far end, and socat as the relay, a process for each connection."""
    far, near = folder / "socat-far", folder / "socat-near"
    relay = [socat(), f"-b{FRAME_BYTES}", f"UNIX-LISTEN:{near},fork", f"UNIX-CONNECT:{far}"]
    with ExitStack() as stack:
        far_pid = _run(stack, python("benchmarks.peers.bare_hops", str(far)), folder, far)
        _run(stack, relay, folder, near)
        yield Hops(str(near), (far_pid,))


def socat() -> str:
    """The program.

    Raises:
        RuntimeError: it is not installed.
    """
    if path := which("socat"):
        return path
    raise RuntimeError("socat is missing: ./.ci/need socat=socat")


def send_through(path: str, count: int) -> None:
    """Have the far end take so many bytes."""
    host = connect(path)
    host.sock.sendall(TAKE + count.to_bytes(COUNT_BYTES))
    frame = bytes(FRAME_BYTES)
    for _ in range(count // FRAME_BYTES):
        host.sock.sendall(frame)
    if host.sock.recv(1) != DONE:
        raise EOFError("the far end did not take everything")
    host.close()


def take_through(path: str, count: int) -> None:
    """Have the far end send so many bytes, and take them."""
    host = connect(path)
    host.sock.sendall(SEND + count.to_bytes(COUNT_BYTES))
    _take(host.sock, count)
    host.close()


def echoing(path: str) -> RawClient:
    """A connection whose far end gives lines back."""
    host = connect(path)
    host.sock.sendall(ECHO)
    return host


def _run(stack: ExitStack, command: list[str], folder: Path, path: Path) -> int:
    process = stack.enter_context(running(command, environment(), folder / f"{path.name}.log"))
    # Its first connection is dropped: it shows that the socket is there.
    connect(str(path)).close()
    return process.pid


def _serve(path: str) -> None:
    with _listening(path) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                _obey(connection)


def _obey(connection: socket.socket) -> None:
    match connection.recv(1):
        case b"s":
            count, frame = _count(connection), bytes(FRAME_BYTES)
            for _ in range(count // FRAME_BYTES):
                connection.sendall(frame)
        case b"t":
            _take(connection, _count(connection))
            connection.sendall(DONE)
        case b"e":
            _pass_on(connection, connection)


def _count(connection: socket.socket) -> int:
    return int.from_bytes(connection.recv(COUNT_BYTES, socket.MSG_WAITALL))


def _take(connection: socket.socket, count: int) -> None:
    while count:
        if not (data := connection.recv(FRAME_BYTES)):
            raise EOFError("the other end left")
        count -= len(data)


def _relay(path: str, target: str) -> None:
    with _listening(path) as listener:
        while True:
            near, _ = listener.accept()
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(target)
                back = Thread(target=_pass_on, args=(far, near))
                back.start()
                _pass_on(near, far)
                back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(FRAME_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _listening(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


if __name__ == "__main__":
    _relay(*sys.argv[1:]) if len(sys.argv) > 2 else _serve(sys.argv[1])
