"""The host's end of the benchmarks counts every reply."""

import socket
import threading
from collections.abc import Iterator

import pytest

from benchmarks.peers.raw_client import BATCH, RawClient


def answer(guest: socket.socket, step: int) -> None:
    """Answer each line with one, in pieces of `step` bytes, until the other side leaves."""
    while data := guest.recv(65536):
        replies = b"ab\n" * data.count(b"\n")
        for start in range(0, len(replies), step):
            guest.sendall(replies[start : start + step])


@pytest.fixture(params=[1, 7, 65536])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    path = str(tmp_path_factory.mktemp("port") / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        client = RawClient(path)
        guest, _ = listener.accept()
    thread = threading.Thread(target=answer, args=(guest, request.param))
    thread.start()
    yield client
    client.close()
    thread.join()
    guest.close()


def test_one_at_a_time(host: RawClient) -> None:
    assert host.ask(b"x\n") == b"ab\n"
    assert len(host.latencies_us(b"x\n", 3)) == 3


def test_pipelined_requests_leave_nothing_unread(host: RawClient) -> None:
    assert host.pipelined(b"x\n", 3) > 0
    assert host.kept_under_way(b"x\n", BATCH + 1, 8) > 0
    # Had a reply been left, this would be answered with two.
    assert host.ask(b"x\n") == b"ab\n"
