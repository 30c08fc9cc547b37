"""The file of a stream's position: whole, one consumer at a time, and clear about what is wrong with it."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from guestmux.cursor_file import CursorError, CursorFile
from guestmux_protocol.commands import Position

PLACE = Position(epoch="e", seq=17)


def opened(path: Path) -> CursorFile:
    file = CursorFile(path)
    file.open()
    return file


def test_keeps_a_position(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    file = CursorFile(path)
    assert file.open() is None
    file.save(PLACE)
    file.close()
    assert json.loads(path.read_text()) == {"epoch": "e", "seq": 17}
    assert CursorFile(path).open() == PLACE
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cursor", "cursor.lock"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"{",
        b"[]",
        b'{"epoch": "e"}',
        b'{"epoch": "", "seq": 1}',
        b'{"epoch": "e", "seq": -1}',
        b'{"epoch": "e", "seq": "1"}',
        b'{"epoch": "\xff", "seq": 1}',
        b" " * 5000,
        b"[" * 4000,
    ],
)
def test_what_is_no_position(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(content)
    with pytest.raises(CursorError, match=f"^{path}: this is no position"):
        CursorFile(path).open()
    assert path.read_bytes() == content
    path.write_bytes(b'{"epoch": "e", "seq": 17}')
    assert CursorFile(path).open() == PLACE, "it was given back"


def test_has_one_consumer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    first = opened(path)
    with pytest.raises(CursorError, match=f"^{path}: another consumer"):
        CursorFile(path).open()
    first.save(PLACE)
    with pytest.raises(CursorError, match="another consumer"):
        CursorFile(path).open()
    first.close()
    first.close()
    assert CursorFile(path).open() == PLACE


def test_whoever_drops_it_gives_it_back(tmp_path: Path) -> None:
    dropped = opened(tmp_path / "cursor")
    del dropped
    gc.collect()
    opened(tmp_path / "cursor")


def test_whoever_is_killed_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    begin = f"_ = opened(Path({str(path)!r})); print(1, flush=True); input()"
    script = f"from tests.host.test_cursor_file import *; {begin}"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"1\n"
        with pytest.raises(CursorError, match="another consumer"):
            CursorFile(path).open()
        process.kill()
        process.wait()
        opened(path)


def test_a_link_is_followed(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    opened(link).save(PLACE)
    assert link.is_symlink()
    assert CursorFile(target).open() == PLACE


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nosuch" / "cursor"
    with pytest.raises(CursorError, match=f"^{path}: cannot be locked: No such file or directory"):
        CursorFile(path).open()


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(CursorError, match=f"^{tmp_path}: cannot be read: Is a directory"):
        CursorFile(tmp_path).open()


def test_a_directory_that_cannot_be_written() -> None:
    # Where not even root makes a file.
    with pytest.raises(
        CursorError, match=r"^/sys/cursor: cannot be locked: (Permission|Read-only|Operation)"
    ):
        CursorFile("/sys/cursor").open()


def test_a_full_disk_leaves_the_position(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    file = opened(path)
    file.save(PLACE)
    # What is written there finds no space; a link, so that it is met by opening it.
    (tmp_path / "cursor.new").symlink_to("/dev/full")
    with pytest.raises(CursorError, match=f"^{path}: cannot be written: No space left on device"):
        file.save(Position(epoch="e", seq=18))
    file.close()
    assert CursorFile(path).open() == PLACE
