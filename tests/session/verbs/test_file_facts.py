"""guest-file-stat, -list and -extents: on real files of all kinds."""

import base64
import grp
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import UNSET

from guestmux_protocol.schema import INT64_MAX
from guestmux_session.verbs import extents, file_status
from guestmux_session.verbs.base64_text import encoded
from guestmux_session.verbs.extents import Extents
from guestmux_session.verbs.file_facts import FileFacts
from tests.support.verbs import Verbs

NO_UTF8 = b"caf\xe9"


@pytest.fixture
def verbs() -> Verbs:
    return Verbs(FileFacts(), Extents())


def get(verbs: Verbs, name: str, **arguments: Any) -> Any:
    answer = verbs.ask(f"guest-file-{name}", **arguments)
    assert "return" in answer, answer
    return answer["return"]


def refused(verbs: Verbs, name: str, **arguments: Any) -> str:
    answer = verbs.ask(f"guest-file-{name}", **arguments)
    assert "error" in answer, answer
    return str(answer["error"]["desc"])


def test_a_file_is_what_the_kernel_says(verbs: Verbs, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    path.chmod(0o4751)
    os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    seen = path.stat()
    assert get(verbs, "stat", path=str(path)) == {
        "type": "file",
        "size": 5,
        "allocated": seen.st_blocks * 512,
        "mode": 0o4751,
        "uid": seen.st_uid,
        "gid": seen.st_gid,
        "user": path.owner(),
        "group": path.group(),
        "mtime-ns": 1_234_567_890_123_456_789,
        "device": seen.st_dev,
        "inode": seen.st_ino,
    }


def test_every_type_has_its_name(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    types = {
        path: get(verbs, "stat", path=path)["type"] for path in (f"{tmp_path}/fifo", f"{tmp_path}/socket")
    }
    assert list(types.values()) == ["fifo", "socket"]
    assert get(verbs, "stat", path="/dev/null")["type"] == "char"
    assert get(verbs, "stat", path=str(tmp_path))["type"] == "directory"


def test_a_link_is_followed_unless_it_is_to_be_seen_itself(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    link = str(tmp_path / "link")
    assert refused(verbs, "stat", path=link) == f"failed to look at '{link}': No such file or directory"
    (tmp_path / "file").touch()
    followed = get(verbs, "stat", path=link)
    assert followed["type"] == "file"
    assert "target" not in followed
    itself = get(verbs, "stat", path=link, follow=False)
    assert (itself["type"], itself["target"]) == ("symlink", "file")


def test_links_in_a_circle_are_told(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert refused(verbs, "stat", path=str(tmp_path / "a")).endswith(": Too many levels of symbolic links")
    assert get(verbs, "stat", path=str(tmp_path / "a"), follow=False)["target"] == "b"


def test_who_has_no_name_has_a_number(verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_number: int) -> Any:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(grp, "getgrgid", unknown)
    assert not {"user", "group"} & get(verbs, "stat", path=str(tmp_path)).keys()


def test_numbers_that_qapi_has_not_are_left_out_or_cut(tmp_path: Path) -> None:
    seen = tmp_path.stat()
    odd = {"st_mtime_ns": 2**70, "st_dev": 2**63, "st_ino": 2**64 - 1}
    kept = {name: getattr(seen, name) for name in ("st_mode", "st_size", "st_blocks", "st_uid", "st_gid")}
    made = file_status.file_stat(cast("os.stat_result", SimpleNamespace(**kept, **odd)))
    assert made.mtime_ns == INT64_MAX
    assert (made.inode, made.device) == (UNSET, UNSET)


@pytest.mark.parametrize("path", ["", "/nowhere/x", "n\0ul", "x" * 5000, "/" + "x/" * 5000])
@pytest.mark.parametrize("name", ["stat", "list", "extents"])
def test_what_is_not_there_is_told(verbs: Verbs, name: str, path: str) -> None:
    said = refused(verbs, name, path=path)
    assert said.endswith((": No such file or directory", ": File name too long"))
    assert len(said) < 250


def test_a_path_is_given_once(verbs: Verbs) -> None:
    assert refused(verbs, "stat") == "Parameter 'path' is missing"
    assert (
        refused(verbs, "stat", path="/", path_b64="Lw==")
        == "Parameters 'path' and 'path-b64' exclude each other"
    )
    assert "half a character" in refused(verbs, "stat", path="/\ud800")
    assert "Base64" in refused(verbs, "stat", path_b64="L")


def test_names_that_are_no_text_are_told_and_taken_as_base64(verbs: Verbs, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/" + NO_UTF8
    Path(os.fsdecode(path)).symlink_to(os.fsdecode(NO_UTF8))
    assert get(verbs, "stat", path_b64=encoded(path), follow=False)["target-b64"] == encoded(NO_UTF8)
    [entry] = get(verbs, "list", path=str(tmp_path))["entries"]
    assert (entry["name-b64"], entry["target-b64"]) == (encoded(NO_UTF8), encoded(NO_UTF8))
    assert not {"name", "target"} & entry.keys()
    assert "caf\\xe9/x'" in refused(verbs, "stat", path_b64=encoded(NO_UTF8 + b"/x"))


def test_a_directory_is_told_page_by_page(verbs: Verbs, tmp_path: Path) -> None:
    names = [b"B", b"a", b"b", "é".encode(), NO_UTF8, b"-", b"x" * 255]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    pages = list(pages_of(verbs, tmp_path, 2))
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [name for page in pages for name in page] == sorted(names)


def pages_of(verbs: Verbs, folder: Path, limit: int) -> Iterator[list[bytes]]:
    more: dict[str, str] = {}
    while True:
        answer = get(verbs, "list", path=str(folder), limit=limit, **more)
        yield [name_of(entry) for entry in answer["entries"]]
        if not answer["more"]:
            return
        more = {"after_b64": encoded(name_of(answer["entries"][-1]))}


def name_of(entry: dict[str, Any]) -> bytes:
    if "name" in entry:
        return str(entry["name"]).encode()
    return base64.b64decode(entry["name-b64"])


def test_an_empty_directory_and_the_end_of_one(verbs: Verbs, tmp_path: Path) -> None:
    assert get(verbs, "list", path=str(tmp_path)) == {"entries": [], "more": False}
    (tmp_path / "a").touch()
    assert get(verbs, "list", path=str(tmp_path), after="a") == {"entries": [], "more": False}
    assert len(get(verbs, "list", path=str(tmp_path), limit=1)["entries"]) == 1


def test_only_a_directory_is_listed(verbs: Verbs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "fifo"):
        assert refused(verbs, "list", path=str(tmp_path / name)).endswith(": Not a directory")


def test_a_large_directory_is_told_in_bounded_pages(verbs: Verbs, tmp_path: Path) -> None:
    for number in range(12_000):
        (tmp_path / f"{number:05}").symlink_to("x")
    answer = get(verbs, "list", path=str(tmp_path), limit=10_000)
    assert (len(answer["entries"]), answer["more"]) == (10_000, True)
    rest = get(verbs, "list", path=str(tmp_path), after=answer["entries"][-1]["name"])
    assert [entry["name"] for entry in rest["entries"]][:2] == ["10000", "10001"]


def test_an_entry_that_goes_meanwhile_is_left_out(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    look = os.stat

    def stat(name: Any, **more: Any) -> os.stat_result:
        if name == b"a":
            (tmp_path / "a").unlink()
        return look(name, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert [entry["name"] for entry in get(verbs, "list", path=str(tmp_path))["entries"]] == ["b"]


MIB = 1 << 20


def sparse(path: Path, *pieces: tuple[int, int], size: int) -> str:
    """A file with data at these places; skips where its file system has no holes."""
    with path.open("wb") as file:
        for offset, length in pieces:
            os.pwrite(file.fileno(), b"x" * length, offset)
        file.truncate(size)
    if path.stat().st_blocks * 512 >= size:
        pytest.skip("the file system has no holes")
    return str(path)


def test_holes_are_told(verbs: Verbs, tmp_path: Path) -> None:
    path = sparse(tmp_path / "file", (MIB, 4096), (8 * MIB, 65536), size=16 * MIB)
    assert get(verbs, "extents", path=path) == {"extents": [[MIB, 4096], [8 * MIB, 65536]], "more": False}
    assert get(verbs, "extents", path=path, limit=1) == {"extents": [[MIB, 4096]], "more": True}
    assert get(verbs, "extents", path=path, offset=2 * MIB) == {"extents": [[8 * MIB, 65536]], "more": False}
    assert get(verbs, "extents", path=path, offset=8 * MIB + 4096)["extents"] == [[8 * MIB + 4096, 61440]]


def test_small_holes_are_none(verbs: Verbs, tmp_path: Path) -> None:
    path = sparse(tmp_path / "file", (0, 4096), (8192, 4096), (12288 + 65536, 4096), size=4 * MIB)
    assert get(verbs, "extents", path=path)["extents"] == [[0, 12288], [12288 + 65536, 4096]]


def test_a_file_of_nothing_but_a_hole(verbs: Verbs, tmp_path: Path) -> None:
    path = sparse(tmp_path / "file", size=MIB)
    for more in ({}, {"offset": MIB}, {"offset": INT64_MAX}):
        assert get(verbs, "extents", path=path, **more) == {"extents": [], "more": False}


def test_a_call_looks_at_a_bounded_number(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extents, "MAX_LOOKED_AT", 2)
    path = sparse(tmp_path / "file", *((place * 8192, 4096) for place in range(5)), size=4 * MIB)
    assert get(verbs, "extents", path=path) == {"extents": [[0, 12288]], "more": True}
    assert get(verbs, "extents", path=path, offset=24576) == {"extents": [[24576, 12288]], "more": False}


def test_only_regular_files_have_extents(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, what in (
        (tmp_path / "fifo", "a pipe"),
        (tmp_path, "a directory"),
        ("/dev/zero", "a character device"),
    ):
        assert refused(verbs, "extents", path=str(path)).endswith(f"it is {what}, no regular file")
