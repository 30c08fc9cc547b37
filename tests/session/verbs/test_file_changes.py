"""guest-file-make-directory, -make-symlink, -rename, -remove and -set-attributes: on real files."""

import asyncio
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guestmux_session.verbs import removal
from guestmux_session.verbs.base64_text import encoded
from guestmux_session.verbs.file_changes import FileChanges
from tests.support.other_user import NOBODY, as_nobody, needs_root
from tests.support.verbs import Verbs


@pytest.fixture
def verbs() -> Iterator[Verbs]:
    part = FileChanges()
    yield Verbs(part)
    part.close_all()


def ask(verbs: Verbs, name: str, **arguments: Any) -> dict[str, Any]:
    return asyncio.run(verbs.call(f"guest-file-{name}", **arguments))


def done(verbs: Verbs, name: str, **arguments: Any) -> None:
    assert ask(verbs, name, **arguments) == {"return": {}}


def refused(verbs: Verbs, name: str, **arguments: Any) -> str:
    answer = ask(verbs, name, **arguments)
    assert "error" in answer, answer
    return str(answer["error"]["desc"])


def test_a_directory_is_made_with_those_above_it(verbs: Verbs, tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        done(verbs, "make-directory", path=f"{tmp_path}/a", mode=0o775)
        done(verbs, "make-directory", path=f"{tmp_path}/b//c/d/", parents=True, mode=0o700)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "b/c/d").stat().st_mode) == 0o700
    said = refused(verbs, "make-directory", path=f"{tmp_path}/x/y")
    assert said == f"failed to make directory '{tmp_path}/x/y': No such file or directory"


def test_a_directory_may_be_there_if_it_may_and_is_one(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert refused(verbs, "make-directory", path=str(tmp_path)).endswith(": File exists")
    for path in (tmp_path, tmp_path / "link"):
        done(verbs, "make-directory", path=str(path), exist_ok=True, parents=True)
    assert refused(verbs, "make-directory", path=f"{tmp_path}/file", exist_ok=True).endswith(": File exists")
    said = refused(verbs, "make-directory", path=f"{tmp_path}/file/x", parents=True)
    assert said.endswith(": Not a directory")


def test_a_path_of_a_thousand_directories(verbs: Verbs, tmp_path: Path) -> None:
    deep = "/".join(["d"] * 1500)
    done(verbs, "make-directory", path=f"{tmp_path}/{deep}", parents=True)
    assert refused(verbs, "remove", path=f"{tmp_path}/d", recursive=True).endswith(
        "more than 200 directories within each other"
    )
    # pytest could not.
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


@pytest.mark.parametrize("path", ["", "n\0ul", "x" * 5000])
def test_what_no_file_can_be_called_is_told(verbs: Verbs, path: str) -> None:
    for name, more in (
        ("make-directory", {"parents": True, "exist_ok": True}),
        ("make-symlink", {"target": "x"}),
        ("remove", {"recursive": True}),
        ("set-attributes", {}),
    ):
        said = refused(verbs, name, path=path, **more)
        assert said.endswith((": No such file or directory", ": File name too long"))
    assert len(refused(verbs, "rename", **{"from": path, "to": path})) < 400


def test_a_link_says_what_it_is_told(verbs: Verbs, tmp_path: Path) -> None:
    done(verbs, "make-symlink", path=f"{tmp_path}/link", target="../né")
    assert (tmp_path / "link").readlink() == Path("../né")
    done(verbs, "make-symlink", path=f"{tmp_path}/other", target_b64=encoded(b"\xff"))
    assert os.fsencode((tmp_path / "other").readlink()) == b"\xff"
    assert refused(verbs, "make-symlink", path=f"{tmp_path}/link", target="x").endswith(": File exists")
    assert refused(verbs, "make-symlink", path=f"{tmp_path}/x") == "Parameter 'target' is missing"


def test_a_new_name_takes_the_place_of_what_had_it(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    done(verbs, "rename", **{"from": f"{tmp_path}/a", "to_b64": encoded(os.fsencode(tmp_path / "b"))})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "a"
    said = refused(verbs, "rename", **{"from": f"{tmp_path}/a", "to": f"{tmp_path}/b"})
    assert said == f"failed to rename '{tmp_path}/a' to '{tmp_path}/b': No such file or directory"
    assert refused(verbs, "rename", to="x") == "Parameter 'from' is missing"


def test_removing_takes_links_and_never_what_they_say(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert refused(verbs, "remove", path=f"{tmp_path}/tree").endswith(": Directory not empty")
    done(verbs, "remove", path=f"{tmp_path}/tree", recursive=True)
    done(verbs, "remove", path=f"{tmp_path}/link", recursive=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept"]
    done(verbs, "remove", path=f"{tmp_path}/kept/file")
    done(verbs, "remove", path=f"{tmp_path}/kept")
    assert list(tmp_path.iterdir()) == []


def test_a_tree_of_all_kinds_is_removed(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_AT_ONCE", 3)
    for folder in (tmp_path / "tree", tmp_path / "tree/a", tmp_path / "tree/b"):
        folder.mkdir()
        os.mkfifo(folder / "fifo")
        (folder / os.fsdecode(b"\xff")).touch()
        for number in range(10):
            (folder / f"{number}").touch()
    before = descriptors()
    done(verbs, "remove", path=f"{tmp_path}/tree", recursive=True)
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


def test_a_removal_that_is_cancelled_goes_no_further(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(10):
        (tmp_path / f"tree/{number}").touch()
    entered, go_on = threading.Event(), threading.Event()
    unlink = os.unlink

    def slowly(name: Any, **more: Any) -> None:
        entered.set()
        assert go_on.wait(30)
        unlink(name, **more)

    async def give_up() -> None:
        call = asyncio.create_task(verbs.call("guest-file-remove", path=f"{tmp_path}/tree", recursive=True))
        await asyncio.to_thread(entered.wait, 30)
        call.cancel()
        await asyncio.wait([call])
        go_on.set()

    before = descriptors()
    monkeypatch.setattr(os, "unlink", slowly)
    asyncio.run(give_up())
    while descriptors() > before:
        pass
    assert len(list((tmp_path / "tree").iterdir())) == 9


def test_what_others_remove_meanwhile_is_no_failure(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").touch()
    unlink = os.unlink

    def twice(name: Any, **more: Any) -> None:
        unlink(name, **more)
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", twice)
    done(verbs, "remove", path=f"{tmp_path}/tree", recursive=True)


def test_attributes_are_set_exactly(verbs: Verbs, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    done(verbs, "set-attributes", path=str(path), mode=0o4711, mtime_ns=-5, size=3)
    seen = path.stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_mtime_ns, path.read_bytes()) == (0o4711, -5, b"123")
    done(verbs, "set-attributes", path=str(path), size=5)
    assert path.read_bytes() == b"123\0\0"
    done(verbs, "set-attributes", path=str(path))


@needs_root
def test_owners_are_set_and_setuid_stays_where_it_is_asked_for(verbs: Verbs, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    done(verbs, "set-attributes", path=str(path), uid=12345, mode=0o4755)
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777) == (12345, 0, 0o4755)
    done(verbs, "set-attributes", path=str(path), gid=2**32 - 2)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 2**32 - 2)


def test_a_link_itself_is_changed_where_it_is_meant(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    link = tmp_path / "link"
    link.symlink_to("file")
    before = (tmp_path / "file").stat().st_mtime_ns
    done(verbs, "set-attributes", path=str(link), mtime_ns=7, follow=False)
    assert (link.lstat().st_mtime_ns, (tmp_path / "file").stat().st_mtime_ns) == (7, before)
    done(verbs, "set-attributes", path=str(link), mtime_ns=9)
    assert (link.lstat().st_mtime_ns, (tmp_path / "file").stat().st_mtime_ns) == (7, 9)
    said = refused(verbs, "set-attributes", path=str(link), mode=0o600, follow=False)
    assert said == f"failed to set attributes of '{link}': Operation not supported"


def test_a_pipe_is_changed_without_waiting_for_its_other_end(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done(verbs, "set-attributes", path=f"{tmp_path}/fifo", mode=0o600, mtime_ns=1)
    assert refused(verbs, "set-attributes", path=f"{tmp_path}/fifo", size=1).endswith(": Invalid argument")


@needs_root
def test_what_the_user_may_not_is_told(verbs: Verbs, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name, more, said in (
        ("make-directory", {"path": "x"}, "Permission denied"),
        ("make-symlink", {"path": "x", "target": "y"}, "Permission denied"),
        ("rename", {"from": "file", "to": "x"}, "Permission denied"),
        ("remove", {"path": "file"}, "Permission denied"),
        ("remove", {"path": "folder", "recursive": True}, "Permission denied"),
        ("set-attributes", {"path": "file", "mode": 0o777}, "Operation not permitted"),
        ("set-attributes", {"path": "file", "uid": NOBODY}, "Operation not permitted"),
        ("set-attributes", {"path": "file", "size": 5}, "Permission denied"),
    ):
        assert as_nobody(tmp_path, partial(refused, verbs, name, **more)).endswith(f": {said}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
