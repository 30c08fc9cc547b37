"""Freeze and thaw: real ext4 file systems, one in a file on the other, and hooks that write down what they are told."""

import errno
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestmux_protocol.guest.freeze import (
    GuestFsfreezeFreeze,
    GuestFsfreezeFreezeList,
    GuestFsfreezeStatus,
    GuestFsfreezeThaw,
    GuestFstrim,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs import disk_requests
from guestmux_session.verbs.freeze import ABANDONED, Freeze
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from guestmux_session.verbs.mounts import Mount
from guestmux_session.verbs.trim import Trim
from tests.support.disks import Disks, mounted_disks
from tests.support.stub_programs import StubPrograms

NOWHERE = Mount("/nowhere", (7, 99), "ext4", "/dev/loop99")


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    with mounted_disks(tmp_path) as disks:
        yield disks


@pytest.fixture
def hook(tmp_path_factory: pytest.TempPathFactory) -> StubPrograms:
    stubs = StubPrograms(tmp_path_factory.mktemp("hooks"))
    stubs.add("hook")
    return stubs


@pytest.fixture
def state(disks: Disks) -> Iterator[Path]:
    yield disks.memory / "qga.state.isfrozen"
    # What a failed test leaves must not silence the others.
    logging.disable(logging.NOTSET)
    sys.dont_write_bytecode = False


@pytest.fixture
def freeze(disks: Disks, state: Path, hook: StubPrograms) -> Freeze:
    return Freeze(state, FreezeHooks([hook.path / "hook"]), disks.mounts)


def freeze_all(freeze: Freeze) -> int:
    return freeze.freeze(GuestFsfreezeFreeze())


def freeze_list(freeze: Freeze, *paths: object) -> int:
    return freeze.freeze_list(GuestFsfreezeFreezeList(mountpoints=[str(path) for path in paths]))


def thaw(freeze: Freeze) -> int:
    return freeze.thaw(GuestFsfreezeThaw())


def status(freeze: Freeze) -> str:
    return freeze.status(GuestFsfreezeStatus())


def test_freezes_what_lies_on_another_before_that_and_thaws_all(
    freeze: Freeze, disks: Disks, state: Path, hook: StubPrograms
) -> None:
    (disks.inner / "unwritten").write_bytes(b"x" * (1 << 20))
    assert status(freeze) == "thawed"
    assert freeze_all(freeze) == 2
    assert (status(freeze), state.exists()) == ("frozen", True)
    assert disks.frozen(disks.outer)
    assert disks.frozen(disks.inner)
    assert hook.calls() == ["hook freeze"]
    assert thaw(freeze) == 2
    assert (status(freeze), state.exists()) == ("thawed", False)
    assert not disks.frozen(disks.outer)
    assert hook.calls() == ["hook freeze", "hook thaw"]


def test_a_writer_goes_on_after_the_thaw(freeze: Freeze, disks: Disks) -> None:
    freeze_all(freeze)
    with subprocess.Popen(["touch", str(disks.outer / "late")]) as writer:
        thaw(freeze)
        assert writer.wait(timeout=20) == 0
    assert (disks.outer / "late").exists()


def test_freezes_what_is_listed(freeze: Freeze, disks: Disks) -> None:
    assert freeze_list(freeze, disks.inner, "/nowhere") == 1
    assert disks.frozen(disks.inner)
    assert not disks.frozen(disks.outer)
    assert thaw(freeze) == 1


@pytest.mark.parametrize("paths", [[], ["/nowhere"]])
def test_with_nothing_to_freeze_nothing_is_frozen(
    freeze: Freeze, state: Path, hook: StubPrograms, paths: list[str]
) -> None:
    assert freeze_list(freeze, *paths) == 0
    assert (status(freeze), state.exists()) == ("thawed", False)
    assert hook.calls() == ["hook freeze", "hook thaw"]


def test_nothing_is_logged_and_no_byte_code_written_while_frozen(freeze: Freeze) -> None:
    freeze_all(freeze)
    assert not logging.getLogger().isEnabledFor(logging.CRITICAL)
    assert sys.dont_write_bytecode
    thaw(freeze)
    assert logging.getLogger().isEnabledFor(logging.CRITICAL)
    assert not sys.dont_write_bytecode


def test_a_second_freeze_is_refused(freeze: Freeze) -> None:
    freeze_all(freeze)
    with pytest.raises(CommandError, match=r"frozen already"):
        freeze_all(freeze)
    assert thaw(freeze) == 2


def test_a_restart_while_frozen_is_frozen_and_can_thaw(freeze: Freeze, disks: Disks, state: Path) -> None:
    freeze_all(freeze)
    again = Freeze(state, mounts=disks.mounts)
    assert (again.frozen, status(again)) == (True, "frozen")
    assert thaw(again) == 2
    assert not disks.frozen(disks.inner)
    assert not Freeze(state).frozen


def test_thaws_what_somebody_else_froze(freeze: Freeze, disks: Disks, hook: StubPrograms) -> None:
    mount = disk_requests.open_mount(str(disks.inner))
    assert disk_requests.freeze(mount)
    os.close(mount)
    assert status(freeze) == "thawed"
    assert thaw(freeze) == 1
    assert thaw(freeze) == 0
    assert hook.calls() == ["hook thaw", "hook thaw"]


def test_the_file_system_with_the_state_is_not_frozen(disks: Disks, hook: StubPrograms) -> None:
    freeze = Freeze(disks.outer / "isfrozen", FreezeHooks([hook.path / "hook"]), disks.mounts)
    with pytest.raises(CommandError, match=rf"state in {disks.outer} is on a file system .*such as /run"):
        freeze_all(freeze)
    assert not disks.frozen(disks.inner)
    assert hook.calls() == ["hook freeze", "hook thaw"]
    assert freeze_list(freeze, disks.inner) == 1
    assert thaw(freeze) == 1


def test_the_state_may_be_reached_by_a_link_as_run_is(disks: Disks) -> None:
    (disks.outer / "run").symlink_to(disks.memory)
    freeze = Freeze(disks.outer / "run" / "isfrozen", mounts=disks.mounts)
    assert freeze_all(freeze) == 2
    assert (disks.memory / "isfrozen").exists()
    assert thaw(freeze) == 2


def test_what_cannot_be_opened_freezes_nothing(disks: Disks, state: Path, hook: StubPrograms) -> None:
    freeze = Freeze(state, FreezeHooks([hook.path / "hook"]), lambda: [*disks.mounts(), NOWHERE])
    with pytest.raises(CommandError, match=r"^failed to open /nowhere: No such file or directory$"):
        freeze_all(freeze)
    assert (status(freeze), disks.frozen(disks.inner)) == ("thawed", False)
    assert hook.calls() == ["hook freeze", "hook thaw"]


def test_what_cannot_be_frozen_thaws_the_rest(
    freeze: Freeze, disks: Disks, state: Path, hook: StubPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = disk_requests.freeze
    asked: list[int] = []

    def fail_second(mount: int) -> bool:
        asked.append(mount)
        if len(asked) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(mount)

    monkeypatch.setattr(disk_requests, "freeze", fail_second)
    with pytest.raises(CommandError, match=rf"^failed to freeze {disks.outer}: Input/output error$"):
        freeze_all(freeze)
    monkeypatch.undo()
    assert (status(freeze), state.exists()) == ("thawed", False)
    assert not disks.frozen(disks.inner)
    assert hook.calls() == ["hook freeze", "hook thaw"]


def test_a_thaw_makes_a_freeze_that_is_under_way_give_up(disks: Disks, state: Path) -> None:
    thaws: list[threading.Thread] = []

    def mounts() -> list[Mount]:
        if not thaws:
            thaws.append(threading.Thread(target=thaw, args=[overtaken]))
            thaws[0].start()
            assert overtaken._thaw_waits.wait(20)
        return disks.mounts()

    overtaken = Freeze(state, mounts=mounts)
    with pytest.raises(CommandError, match=ABANDONED):
        freeze_all(overtaken)
    thaws[0].join()
    assert (status(overtaken), disks.frozen(disks.inner)) == ("thawed", False)
    assert freeze_all(overtaken) == 2
    assert thaw(overtaken) == 2


def test_without_a_place_for_the_state_nothing_is_frozen(disks: Disks) -> None:
    freeze = Freeze(disks.memory / "nowhere" / "isfrozen", mounts=disks.mounts)
    with pytest.raises(CommandError, match=r"^failed to create '.*isfrozen': No such file or directory$"):
        freeze_all(freeze)
    assert (status(freeze), disks.frozen(disks.inner)) == ("thawed", False)


def test_a_failing_hook_freezes_nothing(freeze: Freeze, disks: Disks, hook: StubPrograms) -> None:
    hook.add("hook", '[ "$1" = thaw ] || { echo database is busy; exit 1; }')
    with pytest.raises(CommandError, match=r"failed to execute fsfreeze hook: database is busy"):
        freeze_all(freeze)
    assert (status(freeze), disks.frozen(disks.inner)) == ("thawed", False)
    assert hook.calls() == ["hook freeze", "hook thaw"]


def test_a_failing_hook_keeps_nothing_frozen(freeze: Freeze, disks: Disks, hook: StubPrograms) -> None:
    freeze_all(freeze)
    hook.add("hook", "exit 1")
    with pytest.raises(CommandError, match=r"failed to execute fsfreeze hook: exit status 1"):
        thaw(freeze)
    assert (status(freeze), disks.frozen(disks.inner)) == ("thawed", False)


def test_trims_each_and_says_why_one_cannot_be(disks: Disks) -> None:
    cannot = Mount(str(disks.memory), (7, 99), "tmpfs", "tmpfs")
    trimmed = Trim(lambda: [*disks.mounts(), NOWHERE, cannot]).trim(GuestFstrim(minimum=4096)).paths
    outer, inner, nowhere, memory = trimmed
    assert (outer.path, inner.path) == (str(disks.outer), str(disks.inner))
    for each in (outer, inner):
        assert isinstance(each.trimmed, int)
        assert each.trimmed > 0
    assert nowhere.error == "failed to open: No such file or directory"
    assert memory.error == "trim not supported"


def test_a_minimum_that_is_no_length_is_the_kernels_to_refuse(disks: Disks) -> None:
    for each in Trim(disks.mounts).trim(GuestFstrim(minimum=-1)).paths:
        assert each.error == "failed to trim: Invalid argument"
