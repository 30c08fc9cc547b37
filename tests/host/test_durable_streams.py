"""Streams that keep their consumer's position in a file."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

import guestmux
from guestmux.cursor import Cursor
from guestmux_protocol.commands import Position
from tests.support.standin_guest import StandInGuest
from tests.support.streams import names, take

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])
MUX_ONLY = pytest.mark.parametrize("dialect", ["mux"])

CONSUMER = """
import guestmux, sys
address, cursor = sys.argv[1:]
with guestmux.blocking.connect(address) as guest, guest.events("X", durable=cursor) as stream:
    print("begun", flush=True)
    for item in stream:
        print(item.seq, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cursor"


def kept(path: Path) -> tuple[str, int]:
    position = json.loads(path.read_text())
    return position["epoch"], position["seq"]


async def test_goes_on_where_the_consumer_was(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    async with guest.events(durable=path) as stream:
        assert kept(path) == ("epoch-1", 0), "what comes now is not lost, even if nothing does"
        for name in ("A", "B", "C"):
            standin.emit(name)
        assert names(await take(stream, 2)) == ["A", "B"]
    assert kept(path) == ("epoch-1", 1), "it is not done with B"
    standin.emit("D")
    async with guest.events(durable=path) as stream:
        assert names(await take(stream, 3)) == ["B", "C", "D"]
        await stream.commit()
        assert kept(path) == ("epoch-1", 4)
        assert stream.committed == Position(epoch="epoch-1", seq=4)


async def test_begins_where_it_is_told_the_first_time(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    for name in ("A", "B", "C"):
        standin.emit(name)
    since = Position(epoch="epoch-1", seq=1)
    for expected in (["B"], ["B", "C"], ["C"]):
        async with guest.events(durable=path, since=since) as stream:
            assert names(await take(stream, len(expected))) == expected


@CONCURRENT
async def test_goes_on_across_runs_of_the_guest(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    async with guest.events(durable=path) as stream:
        standin.emit("A")
        await take(stream, 1)
        await stream.commit()
    standin.restart_run()
    standin.emit("B")
    async with guest.events(durable=path) as stream:
        assert names(await take(stream, 1)) == ["B"]
        standin.restart_run()
        standin.emit_withheld("C")
        assert names(await take(stream, 3)) == ["Disconnected", "Reconnected", "C"]
        await stream.commit()
    assert kept(path) == ("epoch-1++", 3)


async def test_a_gap_is_an_item(guest: guestmux.Guest, standin: StandInGuest, path: Path) -> None:
    async with guest.events(durable=path) as stream:
        standin.lose(1, 7, "slow-reader")
        assert names(await take(stream, 1)) == ["Gap"]
    assert kept(path) == ("epoch-1", 0), "who was not done with it is told again"
    async with guest.events(durable=path) as stream:
        standin.lose(1, 7, "slow-reader", subscription=max(standin.subscriptions))
        await take(stream, 1)
        await stream.commit()
    assert kept(path) == ("epoch-1", 7)


async def test_another_journal(guest: guestmux.Guest, standin: StandInGuest, path: Path) -> None:
    path.write_text('{"epoch": "another", "seq": 99}')
    standin.emit("A")
    async with guest.events(durable=path) as stream:
        assert await take(stream, 1) == [guestmux.Gap(0, 0, "new-epoch")]
        assert names(await take(stream, 1)) == ["A"]
        await stream.commit()
    assert kept(path) == ("epoch-1", 1)


async def test_a_position_that_the_guest_refuses(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    """As one does whose memory was set back, and which has had too many such positions."""
    path.write_text('{"epoch": "epoch-1", "seq": 99}')
    async with guest.events(durable=path) as stream:
        standin.emit("A")
        gap, event = await take(stream, 2)
    assert gap == guestmux.Gap(0, 0, "rolled-back")
    assert names([event]) == ["A"]


async def test_is_as_far_as_what_nobody_wanted(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    """Its consumer is done with what another stream of this connection heard, too."""
    async with guest.events("X", durable=path) as stream, guest.events():
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(take(stream, 1))
            await standin.until_asked("guest-event-subscribe", 2)
            for _ in range(5):
                standin.emit("Y")
            while stream.reached != Position(epoch="epoch-1", seq=5):
                await guest.ping()
            await stream._cursor.save()  # type: ignore[union-attr]
            assert kept(path) == ("epoch-1", 5)
            standin.emit("X")
        assert names(waiting.result()) == ["X"]


async def test_one_consumer_at_a_time(guest: guestmux.Guest, standin: StandInGuest, path: Path) -> None:
    async with guest.events("A", durable=path):
        with pytest.raises(guestmux.CursorError, match=f"{path}: another consumer"):
            await guest.events("B", durable=path).begin()
        assert len(standin.requests["guest-event-subscribe"]) == 1
    async with guest.events("B", durable=path):
        pass


async def test_whoever_drops_it_need_do_nothing(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    stream = guest.events(durable=path)
    await stream.begin()
    standin.emit("A")
    standin.emit("B")
    await take(stream, 1)
    await stream.commit()
    await take(stream, 1)
    del stream
    gc.collect()
    async with guest.events(durable=path) as again:
        assert names(await take(again, 1)) == ["B"]


async def test_a_guest_that_refuses_gives_the_file_back(
    guest: guestmux.Guest, standin: StandInGuest, path: Path
) -> None:
    subscribe = standin.commands.pop("guest-event-subscribe")
    stream = guest.events(durable=path)
    with pytest.raises(guestmux.CommandNotFound):
        await stream.begin()
    assert not path.exists()
    standin.commands["guest-event-subscribe"] = subscribe
    async with guest.events(durable=path):
        pass


async def test_a_lost_connection_ends_it_with_its_position_kept(standin: StandInGuest, path: Path) -> None:
    async with guestmux.connect(standin.address, reconnect=False) as guest:
        stream = guest.events(durable=path)
        await stream.begin()
        standin.emit("A")
        standin.hang_up()
        with pytest.raises(guestmux.ConnectionLost):
            await take(stream, 3)
    assert kept(path) == ("epoch-1", 1)


class TestAFileThatCannotBeWritten:
    async def test_at_first(self, guest: guestmux.Guest, standin: StandInGuest, path: Path) -> None:
        fill(path)
        with pytest.raises(guestmux.CursorError, match=f"{path}: cannot be written: No space left"):
            await guest.events(durable=path).begin()
        Path(f"{path}.new").unlink()
        async with guest.events(durable=path) as stream:
            standin.emit("A")
            assert names(await take(stream, 1)) == ["A"]

    async def test_later(self, guest: guestmux.Guest, standin: StandInGuest, path: Path) -> None:
        async with guest.events(durable=path) as stream:
            standin.emit("A")
            standin.emit("B")
            await take(stream, 1)
            fill(path)
            with pytest.raises(guestmux.CursorError, match="No space left"):
                await stream.commit()
            Path(f"{path}.new").unlink()
            assert names(await take(stream, 1)) == ["B"], "it goes on"
        assert kept(path) == ("epoch-1", 1)

    async def test_while_nobody_commits(
        self, guest: guestmux.Guest, standin: StandInGuest, path: Path
    ) -> None:
        async with guest.events(durable=path) as stream:
            fill(path)
            standin.emit("A")
            with pytest.raises(guestmux.CursorError, match="No space left"):
                await take(stream, 2)
            Path(f"{path}.new").unlink()

    async def test_in_the_end(self, guest: guestmux.Guest, standin: StandInGuest, path: Path) -> None:
        async def consume(fault: bool) -> None:
            async with guest.events(durable=path) as stream:
                standin.emit("A")
                standin.emit("A")
                await take(stream, 2)
                fill(path)
                if fault:
                    raise ValueError("mine")

        with pytest.raises(guestmux.CursorError, match="No space left"):
            await consume(fault=False)
        Path(f"{path}.new").unlink()
        with pytest.raises(ValueError, match="mine"):
            await consume(fault=True)


def fill(path: Path) -> None:
    """Let the disk be full for what is written next."""
    Path(f"{path}.new").symlink_to("/dev/full")


@MUX_ONLY
@pytest.mark.parametrize("killed_after", [0, 1, 7])
async def test_a_consumer_that_is_killed(standin: StandInGuest, path: Path, killed_after: int) -> None:
    """Each event comes once in a process, in order, and each at least once in all of them."""
    command = [sys.executable, "-c", CONSUMER, standin.address, str(path)]
    runs: list[list[int]] = []
    for wanted in (killed_after, killed_after, 30):
        async with await anyio.open_process(command, stdout=PIPE) as process:
            assert process.stdout
            lines = BufferedByteReceiveStream(process.stdout)
            assert await lines.receive_until(b"\n", 100) == b"begun"
            for _ in range(10):
                standin.emit("X")
            read: list[int] = []
            while len(read) < wanted and 30 not in read:
                read.append(int(await lines.receive_until(b"\n", 100)))
            process.send_signal(signal.SIGKILL)
            rest = b"".join([piece async for piece in lines])
            runs.append(read + [int(line) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")])
    for seqs in runs:
        assert seqs == list(range(seqs[0], seqs[-1] + 1)) if seqs else True
    assert {seq for seqs in runs for seq in seqs} == set(range(1, 31))


async def test_writes_some_times_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestmux.cursor.SAVE_SECONDS", 0.05)
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda _: synced.append(1))
    cursor = Cursor(path)
    await cursor.open()
    with anyio.move_on_after(0.5):
        seq = 0
        while True:
            seq += 1
            cursor.note(Position(epoch="e", seq=seq))
            await anyio.lowlevel.checkpoint()
    await cursor.close()
    assert kept(path) == ("e", seq)
    # The file and its directory each time.
    assert 2 <= len(synced) // 2 <= 12
