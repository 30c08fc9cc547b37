"""The administrator's hooks: which run, in which order, and what of a failure."""

from pathlib import Path

import pytest

from guestmux_session.errors import CommandError
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from tests.support.stub_programs import StubPrograms


@pytest.fixture
def stubs(tmp_path: Path) -> StubPrograms:
    return StubPrograms(tmp_path)


def test_a_folders_hooks_run_by_name_and_back(stubs: StubPrograms) -> None:
    for name in ("20-mail", "10-mysql.sh", "30-web"):
        stubs.add(name)
    hooks = FreezeHooks([stubs.path])
    hooks.freeze()
    assert stubs.calls() == ["10-mysql.sh freeze", "20-mail freeze", "30-web freeze"]
    hooks.thaw()
    assert stubs.calls()[3:] == ["30-web thaw", "20-mail thaw", "10-mysql.sh thaw"]


def test_what_editors_and_packages_leave_is_no_hook(stubs: StubPrograms) -> None:
    for name in ("db~", ".db.swp", "db.bak", "db.dpkg-dist", "db.sample", "db.rpmsave"):
        stubs.add(name)
    stubs.add("off")
    (stubs.path / "off").chmod(0o644)
    (stubs.path / "folder").mkdir()
    FreezeHooks([stubs.path]).freeze()
    assert stubs.calls() == []


def test_after_a_failure_all_are_told_of_the_thaw(stubs: StubPrograms) -> None:
    stubs.add("10")
    stubs.add("20", '[ "$1" = thaw ] || exit 7')
    stubs.add("30")
    with pytest.raises(
        CommandError, match=r"^child process has failed to execute fsfreeze hook: exit status 7$"
    ):
        FreezeHooks([stubs.path]).freeze()
    assert stubs.calls() == ["10 freeze", "20 freeze", "30 thaw", "20 thaw", "10 thaw"]


def test_all_are_told_of_a_thaw_whichever_fails(stubs: StubPrograms) -> None:
    for name in ("10", "20"):
        stubs.add(name, "exit 1")
    with pytest.raises(CommandError):
        FreezeHooks([stubs.path]).thaw()
    assert stubs.calls() == ["20 thaw", "10 thaw"]


def test_a_hook_is_not_waited_for_without_end(stubs: StubPrograms) -> None:
    stubs.add("slow", '[ "$1" = thaw ] || exec sleep 1000')
    with pytest.raises(CommandError, match=r"fsfreeze hook: it was ended after 0.5 s"):
        FreezeHooks([stubs.path], seconds=0.5).freeze()


def test_a_hook_that_is_not_there_may_be_needed_or_not(tmp_path: Path) -> None:
    FreezeHooks([tmp_path / "hook"]).freeze()
    with pytest.raises(CommandError) as caught:
        FreezeHooks(required=[tmp_path / "hook"]).freeze()
    assert caught.value.desc == f"can't access fsfreeze hook '{tmp_path}/hook'"
