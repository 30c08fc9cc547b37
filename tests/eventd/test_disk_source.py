"""DISK_PRESSURE, of real file systems that are filled and emptied, frozen, and gone."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from guestmux_eventd import disk_source, disk_space
from guestmux_eventd.config import ConfigError, make_config
from guestmux_eventd.disk_source import DiskSource
from guestmux_eventd.disk_space import HIDDEN, DiskProbe, DiskSpace
from guestmux_eventd.session_table import Emission
from guestmux_protocol.events import DiskPressure
from tests.support.disks import Disks, mounted_disks

pytestmark = pytest.mark.anyio

KIB = 1 << 10


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    with mounted_disks(tmp_path) as disks:
        yield disks


class Watched:
    """A source and what it told."""

    def __init__(
        self, *paths: Path, percent: int = 90, ask: Callable[[str], DiskSpace] | None = None
    ) -> None:
        self.told: list[DiskPressure] = []
        self.probes = {str(path): DiskProbe(str(path), ask or disk_space.disk_space) for path in paths}
        self.source = DiskSource(list(self.probes), percent, self._publish, self.probes.__getitem__)

    def _publish(self, emissions: list[Emission]) -> None:
        for name, data in emissions:
            assert name == "DISK_PRESSURE"
            assert isinstance(data, DiskPressure)
            self.told.append(data)

    async def look(self) -> list[DiskPressure]:
        """What is told of one look at everything."""
        before = len(self.told)
        for probe in self.probes.values():
            await self.source.look(probe)
        return self.told[before:]


def df(path: Path) -> list[int]:
    words = ["df", "-B1", "--output=size,avail,pcent", str(path)]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [int(word.rstrip("%")) for word in shown.splitlines()[1].split()]


def fill(path: Path, percent: int) -> None:
    """Have so much used, as df shows it."""
    with (path / "filler").open("ab") as file:
        while df(path)[2] < percent:
            file.write(b"x" * 64 * KIB)
            file.flush()


async def test_a_disk_that_is_filled_and_emptied(disks: Disks) -> None:
    watched = Watched(disks.outer, disks.memory)
    assert await watched.look() == []
    fill(disks.outer, 90)
    [began] = await watched.look()
    assert (began.path, began.active) == (str(disks.outer), True)
    assert [began.total, began.available, began.percent] == df(disks.outer)
    assert await watched.look() == []
    os.truncate(disks.outer / "filler", 0)
    [ended] = await watched.look()
    assert ended.active is False
    assert [ended.total, ended.available, ended.percent] == df(disks.outer)


async def test_what_goes_up_and_down_by_little_is_told_once(tmp_path: Path) -> None:
    used = iter([89, 90, 89, 86, 95, 85, 89, 90])
    watched = Watched(tmp_path, ask=lambda _path: DiskSpace(100, percent := next(used), 100 - percent))
    for _ in range(8):
        await watched.look()
    assert [(event.active, event.percent) for event in watched.told] == [(True, 90), (False, 85), (True, 90)]


async def test_it_is_told_at_once_where_it_begins_so(tmp_path: Path) -> None:
    watched = Watched(tmp_path, ask=lambda _path: DiskSpace(100, 99, 1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.source.run)
        while not watched.told:  # noqa: ASYNC110 - it tells nobody but the list
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_it_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_source, "LOOK_SECONDS", 0.01)
    used = iter([1, 99, *[1] * 1000])
    watched = Watched(tmp_path, ask=lambda _path: DiskSpace(100, percent := next(used), 100 - percent))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.source.run)
        while len(watched.told) < 2:  # noqa: ASYNC110 - it tells nobody but the list
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_a_frozen_file_system_answers(disks: Disks) -> None:
    fill(disks.outer, 90)
    watched = Watched(disks.outer)
    freeze(disks.outer, "--freeze")
    try:
        assert [event.active for event in await watched.look()] == [True]
    finally:
        freeze(disks.outer, "--unfreeze")


def freeze(path: Path, option: str) -> None:
    subprocess.run(["fsfreeze", option, path], check=True, env=os.environ | {"PATH": "/usr/sbin:/sbin"})


async def test_one_that_does_not_answer_keeps_nobody_and_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    gone, back, asked = tmp_path / "gone", threading.Event(), 0
    look = disk_space.DiskProbe.look

    async def look_in_time(probe: disk_space.DiskProbe) -> DiskSpace:
        lost = probe.path == str(gone) and not back.is_set()
        monkeypatch.setattr(disk_space, "ANSWER_SECONDS", 0.01 if lost else 60)
        return await look(probe)

    monkeypatch.setattr(disk_space.DiskProbe, "look", look_in_time)

    def ask(path: str) -> DiskSpace:
        nonlocal asked
        if path == str(gone):
            asked += 1
            back.wait()
        return DiskSpace(100, 99, 1)

    watched = Watched(gone, tmp_path, ask=ask)
    for _ in range(3):
        await watched.look()
    assert [event.path for event in watched.told] == [str(tmp_path)]
    back.set()
    assert [event.path for event in await watched.look()] == [str(gone)]
    assert asked == 1
    assert caplog.messages == [
        f"no DISK_PRESSURE of {gone} for now: it does not answer",
        f"{gone} can be looked at again",
    ]


async def test_what_cannot_be_seen_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden, absent = tmp_path / "hidden", tmp_path / "absent"
    hidden.mkdir(mode=0)
    watched = Watched(hidden, absent)
    assert [*await watched.look(), *await watched.look()] == []
    assert caplog.messages == [
        f"no DISK_PRESSURE of {hidden} for now: {HIDDEN}",
        f"no DISK_PRESSURE of {absent} for now: No such file or directory",
    ]


async def test_one_that_cannot_be_looked_at_for_a_while_has_not_ended(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()

    def ask(path: str) -> DiskSpace:
        disk_space.disk_space(path)
        return DiskSpace(100, 99, 1)

    watched = Watched(there, ask=ask)
    assert len(await watched.look()) == 1
    there.rmdir()
    assert await watched.look() == []
    there.mkdir()
    assert await watched.look() == []


def test_a_file_system_without_blocks_is_not_full() -> None:
    assert disk_space.disk_space("/proc").percent == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"disk-pressure": ["home"]},
        {"disk-pressure": [f"/{number}" for number in range(9)]},
        {"disk-pressure-percent": 9},
        {"disk-pressure-percent": 101},
    ],
)
def test_a_configuration_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="disk-pressure"):
        make_config(wrong, "x")
