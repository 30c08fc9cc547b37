"""Files of a guest through the library: against a stock qemu-ga, and a guest that fails."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

import guestmux
from guestmux.pace import FIRST, LEAST, MOST_CONCURRENT, MOST_IN_ORDER, Pace
from tests.support.standin_guest import SILENCE, Refused, StandInGuest
from tests.support.standin_mux import StandInStream

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])


async def test_what_is_written_is_read(stock: str, tmp_path: Path) -> None:
    content = os.urandom(3 * FIRST + 17)
    path = str(tmp_path / "file")
    async with guestmux.connect(stock) as guest:
        await guest.write_file(path, content)
        assert Path(path).read_bytes() == content
        assert await guest.read_file(path) == content


async def test_a_file_is_read_from_anywhere(stock: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    async with guestmux.connect(stock) as guest, await guest.open_file(str(path), "r+") as file:
        assert await file.size() == 10
        assert await file.read(4) == b"0123"
        assert await file.seek(-2, "end") == 8
        assert await file.read() == b"89"
        assert await file.seek(0) == 0
        assert await file.write(b"ab") == 2
        await file.flush()
        assert [piece async for piece in file] == [b"23456789"]
    assert path.read_bytes() == b"ab23456789"
    assert "closed" in repr(file)


async def test_a_pipe_has_no_size(stock: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with guestmux.connect(stock) as guest, await guest.open_file(str(tmp_path / "pipe")) as file:
        assert await file.size() is None


async def test_what_is_not_there(stock: str) -> None:
    async with guestmux.connect(stock) as guest:
        with pytest.raises(guestmux.CommandFailed, match="No such file"):
            await guest.read_file("/nosuch")


@CONCURRENT
async def test_a_session_opens_it(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["guest-file-open"] = lambda _: 5
    standin.commands["guest-file-close"] = lambda _: {}
    async with await guest.open_file("/x", session="c2", wait=3, timeout=4):
        pass
    arguments = {"path": "/x", "mode": "r", "session": "c2", "wait": 3, "timeout": 4}
    assert (await standin.until_asked("guest-file-open")).arguments == arguments
    assert (await standin.until_asked("guest-file-close")).arguments == {"handle": 5}


@CONCURRENT
async def test_it_is_closed_whatever_happens(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["guest-file-open"] = lambda _: 5

    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("the handle is gone")

    standin.commands["guest-file-close"] = refuse
    with pytest.raises(ZeroDivisionError):
        async with await guest.open_file("/x"):
            raise ZeroDivisionError
    await standin.until_asked("guest-file-close")
    with pytest.raises(guestmux.CommandFailed, match="gone"):
        async with await guest.open_file("/x"):
            pass


@CONCURRENT
async def test_a_pipe_that_is_full(guest: guestmux.Guest, standin: StandInGuest) -> None:
    taken = iter([3, 0, 2])
    standin.commands["guest-file-open"] = lambda _: 5
    standin.commands["guest-file-close"] = lambda _: {}
    standin.commands["guest-file-write"] = lambda _: {"count": next(taken), "eof": False}
    async with await guest.open_file("/x", "w") as file:
        assert await file.write(b"12345") == 5
    sent = [
        base64.b64decode(request.arguments["buf-b64"]) for request in standin.requests["guest-file-write"]
    ]
    assert sent == [b"12345", b"45", b"45"]


@CONCURRENT
@pytest.mark.parametrize(
    "answer", [{}, {"count": 1, "eof": False, "buf-b64": "?"}, {"count": 1, "eof": False, "buf-b64": "A"}]
)
async def test_nonsense_is_told(guest: guestmux.Guest, standin: StandInGuest, answer: object) -> None:
    standin.commands["guest-file-open"] = lambda _: 5
    standin.commands["guest-file-close"] = lambda _: {}
    standin.commands["guest-file-read"] = lambda _: answer
    async with await guest.open_file("/x") as file:
        if answer == {"count": 1, "eof": False, "buf-b64": "?"}:
            # Python's decoder passes over what is no base64; then there is nothing.
            assert await file.read() == b""
        else:
            with pytest.raises(guestmux.UnexpectedReply, match="guest-file-read"):
                await file.read()


async def test_the_guest_goes_in_the_middle(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["guest-file-open"] = lambda _: 5

    def leave(_: dict[str, Any]) -> Any:
        standin.hang_up()
        return SILENCE

    standin.commands["guest-file-read"] = leave
    with pytest.raises(guestmux.ConnectionLost):
        async with await guest.open_file("/x") as file:
            await file.read()


def test_the_pace_grows_with_the_speed() -> None:
    now = 0.0
    pace = Pace(concurrent=True, clock=lambda: now)

    def piece(seconds: float, share: float = 1.0) -> int:
        nonlocal now
        size = pace.begin()
        now += seconds
        pace.end(int(size * share))
        return size

    assert piece(0.1) == FIRST
    assert piece(0.5) == 2 * FIRST, "fast: larger"
    assert piece(2.0) == 2 * FIRST, "neither: as it is"
    assert piece(0.1, share=0.5) == FIRST, "slow: smaller"
    assert pace.size == FIRST, "a short piece proves nothing"
    for _ in range(10):
        piece(0.0)
    assert pace.size == MOST_CONCURRENT
    assert [piece(9.0) for _ in range(20)][-1] == LEAST


def test_on_a_port_in_order_pieces_stay_small() -> None:
    pace = Pace(concurrent=False, clock=lambda: 0.0)
    for _ in range(10):
        pace.begin()
        pace.end(pace.size)
    assert pace.size == MOST_IN_ORDER


@pytest.mark.parametrize("dialect", ["mux"])
class TestReadingByStream:
    async def test_all_of_it(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        def serve(stream: StandInStream) -> None:
            stream.accept({"type": "file", "size": 7})
            stream.send(b"con")
            stream.send(b"tent")
            stream.close({"bytes": 7})

        standin.streams["guest-file-download"] = serve
        assert await guest.read_file("/a", session="c2", timeout=5) == b"content"
        (opened,) = standin.opened["guest-file-download"]
        assert opened.request.arguments == {"path": "/a", "checksum": False, "session": "c2", "timeout": 5}

    async def test_a_guest_that_counts_otherwise(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        def serve(stream: StandInStream) -> None:
            stream.accept({})
            stream.send(b"conten")
            stream.close({"bytes": 7})

        standin.streams["guest-file-download"] = serve
        with pytest.raises(guestmux.UnexpectedReply, match="7 bytes, and 6 came"):
            await guest.read_file("/a")

    async def test_a_file_that_becomes_shorter(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        def serve(stream: StandInStream) -> None:
            stream.accept({})
            stream.send(b"conten")
            stream.fail("the file became shorter")

        standin.streams["guest-file-download"] = serve
        with pytest.raises(guestmux.StreamFailed, match="shorter"):
            await guest.read_file("/a")

    async def test_a_guest_that_falls_silent(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        standin.streams["guest-file-download"] = lambda stream: stream.accept({})
        with pytest.raises(guestmux.CallTimeout, match="nothing came"):
            await guest.read_file("/a", timeout=1)
        (opened,) = standin.opened["guest-file-download"]
        await standin.until(lambda: opened.closed is not None)

    @pytest.mark.parametrize("error_class", ["CommandNotFound", "GenericError"])
    async def test_what_no_stream_reads(
        self, guest: guestmux.Guest, standin: StandInGuest, error_class: str
    ) -> None:
        def refuse(_: StandInStream) -> None:
            raise Refused("it is a pipe, no regular file", error_class)

        standin.streams["guest-file-download"] = refuse
        with pytest.raises(guestmux.CommandNotFound, match="guest-file-open"):
            await guest.read_file("/a")
