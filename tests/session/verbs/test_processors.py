"""Processors in a tree like sysfs'."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestmux_protocol.guest.hardware import (
    GuestGetCpustats,
    GuestGetVcpus,
    GuestLogicalProcessor,
    GuestSetVcpus,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs.processors import Processors

STAT = """\
cpu  100 200 300 400 500 600 700 800 900 1000
cpu0 1 2 3 4 5 6 7 8 9 10
cpu12 1 2 3 4
cpu13 1 2 3
intr 5
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Processor 0 without a switch, 1 on, 10 off; and what else is beside them."""
    directory = tmp_path / "devices/system/cpu"
    for name in ("cpu0", "cpu1", "cpu10", "cpufreq", "cpu1x"):
        (directory / name).mkdir(parents=True)
    (directory / "cpu1/online").write_text("1\n")
    (directory / "cpu10/online").write_text("0\n")
    (directory / "online").write_text("0-1\n")
    return directory


def switch(tmp_path: Path, *wanted: tuple[int, bool]) -> int:
    vcpus = [GuestLogicalProcessor(logical_id=number, online=online) for number, online in wanted]
    return Processors(tmp_path).set_vcpus(GuestSetVcpus(vcpus=vcpus))


@pytest.mark.usefixtures("directory")
def test_they_are_listed_by_number(tmp_path: Path) -> None:
    assert Processors(tmp_path).get_vcpus(GuestGetVcpus()) == [
        GuestLogicalProcessor(logical_id=0, online=True, can_offline=False),
        GuestLogicalProcessor(logical_id=1, online=True, can_offline=True),
        GuestLogicalProcessor(logical_id=10, online=False, can_offline=True),
    ]


def test_they_are_switched(tmp_path: Path, directory: Path) -> None:
    assert switch(tmp_path, (1, False), (10, True), (0, True), (10, True)) == 4
    assert (directory / "cpu1/online").read_text()[0] == "0"
    assert (directory / "cpu10/online").read_text()[0] == "1"


def test_of_none_none_are_switched(tmp_path: Path) -> None:
    assert switch(tmp_path) == 0


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize("bad", [(0, False), (7, True), (-1, True)])
def test_the_first_that_fails_ends_it(tmp_path: Path, bad: tuple[int, bool]) -> None:
    assert switch(tmp_path, (1, False), bad, (10, True)) == 1
    assert [vcpu.online for vcpu in Processors(tmp_path).get_vcpus(GuestGetVcpus())] == [True, False, False]


@pytest.mark.usefixtures("directory")
def test_an_error_comes_of_the_first_alone(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        switch(tmp_path, (0, False), (1, False))
    assert caught.value.desc == "logical processor #0 can't be offlined"
    with pytest.raises(CommandError) as caught:
        switch(tmp_path, (99, True))
    assert caught.value.desc == f'open("{tmp_path}/devices/system/cpu/cpu99/"): No such file or directory'


def test_a_switch_that_cannot_be_read(tmp_path: Path, directory: Path) -> None:
    (directory / "cpu1/online").write_text("")
    with pytest.raises(CommandError, match=r'^pread\(".*/cpu1//online"\): unexpected EOF$'):
        Processors(tmp_path).get_vcpus(GuestGetVcpus())
    (directory / "cpu1/online").unlink()
    (directory / "cpu1/online").mkdir()
    with pytest.raises(CommandError, match=r'^open\(".*/cpu1//online"\): Is a directory$'):
        switch(tmp_path, (1, False))
    with pytest.raises(CommandError, match=r'^pread\(".*/cpu1//online"\): Is a directory$'):
        Processors(tmp_path).get_vcpus(GuestGetVcpus())


def test_a_guest_without_the_directory(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^failed to list entries: .*: No such file or directory$"):
        Processors(tmp_path).get_vcpus(GuestGetVcpus())


def test_times_are_in_milliseconds(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    first, second = Processors(procfs=tmp_path, ticks=250).cpustats(GuestGetCpustats())
    assert (first.cpu, first.user, first.idle, first.guestnice) == (0, 4, 16, 40)
    assert (second.cpu, second.system) == (12, 12)
    assert not second.iowait
