"""Files in a real directory, watched by the real kernel."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from guestmux_transport.directory_watch import DirectoryWatch

pytestmark = pytest.mark.anyio


class Watched:
    """A watch of the name `status`."""

    def __init__(self, directory: Path) -> None:
        self.changed = anyio.Event()
        self.watch = DirectoryWatch(directory, lambda name: name == "status", lambda: self.changed.set())

    async def told(self) -> None:
        await self.changed.wait()
        self.changed = anyio.Event()


async def test_what_happens_to_a_name_is_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    (tmp_path / "status").write_text("made")
    await watched.told()
    (tmp_path / "other").write_text("x")
    (tmp_path / "other").rename(tmp_path / "status")
    await watched.told()
    (tmp_path / "status").unlink()
    await watched.told()
    watched.watch.close()


async def test_other_names_are_not(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for number in range(100):
        (tmp_path / f"status-{number}").write_text("x")
    watched.watch._read()
    assert not watched.changed.is_set()
    watched.watch.close()
    (tmp_path / "status").write_text("x")
    await anyio.lowlevel.checkpoint()
    assert not watched.changed.is_set()


async def test_a_directory_that_goes_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "database"
    directory.mkdir()
    watched = Watched(directory)
    shutil.rmtree(directory)
    await watched.told()
    watched.watch.close()


async def test_more_changes_than_the_kernel_keeps(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    # fs.inotify.max_queued_events is 16384; each file is two, and two of a kind in a row are one.
    files = [(tmp_path / f"{number}") for number in range(50)]
    for _ in range(200):
        for file in files:
            file.touch()
            file.unlink()
    await watched.told()
    watched.watch.close()


async def test_no_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryWatch(tmp_path / "none", lambda _name: True, lambda: None)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        DirectoryWatch(tmp_path / "file", lambda _name: True, lambda: None)
