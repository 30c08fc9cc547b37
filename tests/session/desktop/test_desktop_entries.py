"""Desktop files, from which a window's application is told."""

import os
from pathlib import Path

import pytest

from guestmux_session.desktop import desktop_entries, desktop_file
from guestmux_session.desktop.desktop_entries import DesktopEntries
from guestmux_session.desktop.desktop_file import MAX_DEPTH, folders_of, read_text

pytestmark = pytest.mark.anyio

EDITOR = """# a comment
[Desktop Entry]
Type=Application
Name=Text Editor
Name[de]=Texteditor
StartupWMClass=Gedit
DBusActivatable=true

[Desktop Action new]
Name=New window
"""


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_entries, "FRESH_SECONDS", 0.0)


def put(folder: Path, name: str, text: str) -> None:
    path = folder / "applications" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def read(entries: DesktopEntries, *folders: Path) -> DesktopEntries:
    own, *shared = map(str, folders)
    await entries.refresh({"XDG_DATA_HOME": own, "XDG_DATA_DIRS": ":".join(shared) or "/nosuch"})
    return entries


async def test_an_entry(tmp_path: Path) -> None:
    put(tmp_path, "org.gnome.gedit.desktop", EDITOR)
    entries = await read(DesktopEntries(), tmp_path)
    entry = entries.get("org.gnome.gedit.desktop")
    assert entry is not None
    assert (entry.app_id, entry.name, entry.activatable) == ("org.gnome.gedit", "Text Editor", True)
    for names in (("Gedit",), ("org.gnome.gedit",), ("GEDIT",), ("", "nonsense", "gedit")):
        assert entries.of_window(*names) is entry
    assert entries.of_window("", "nonsense") is None


async def test_the_users_own_hides_that_for_all_and_is_found_when_it_comes(tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    put(shared, "x.desktop", EDITOR)
    entries = await read(DesktopEntries(), own, shared)
    assert (found := entries.get("x"))
    assert found.name == "Text Editor"
    put(own, "x.desktop", EDITOR.replace("Text Editor", "Mine"))
    await read(entries, own, shared)
    assert (found := entries.get("x"))
    assert found.name == "Mine"


async def test_a_folder_below_is_part_of_the_id(tmp_path: Path) -> None:
    put(tmp_path, "kde/konsole.desktop", EDITOR)
    assert (await read(DesktopEntries(), tmp_path)).get("kde-konsole")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\xff",
        "[Desktop Entry]\n",
        "[Desktop Entry]\nType=Link\nName=x",
        "Type=Application",
        "=" * 1_000_000,
    ],
)
async def test_what_is_no_application(tmp_path: Path, text: str) -> None:
    put(tmp_path, "x.desktop", text)
    (tmp_path / "applications" / "dangling.desktop").symlink_to("/nowhere")
    (tmp_path / "applications" / "evil\n.desktop").write_text(EDITOR)
    assert repr(await read(DesktopEntries(), tmp_path)) == "<DesktopEntries 0>"


async def test_names_are_one_line_and_bounded(tmp_path: Path) -> None:
    put(tmp_path, "x.desktop", EDITOR.replace("Text Editor", "a\x1b[2J" + "x" * 9999))
    entry = (await read(DesktopEntries(), tmp_path)).get("x")
    assert entry is not None
    assert entry.name.isprintable()
    assert len(entry.name) == desktop_entries.MAX_TEXT


def test_where_they_are() -> None:
    assert folders_of({"HOME": "/h"}) == [
        Path("/h/.local/share/applications"),
        Path("/usr/local/share/applications"),
        Path("/usr/share/applications"),
    ]
    assert folders_of({"HOME": "/h", "XDG_DATA_DIRS": "relative:/a"})[1:] == [Path("/a/applications")]


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path, "a.desktop", EDITOR)
    os.mkfifo(tmp_path / "applications" / "b.desktop")
    (tmp_path / "applications" / "c.desktop").symlink_to("/dev/zero")
    entries = await read(DesktopEntries(), tmp_path)
    assert entries.get("a")
    assert not entries.get("b")
    assert not entries.get("c")


def test_a_folder_in_place_of_a_file_is_not_held_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    assert read_text(tmp_path) == ""
    assert len([*Path("/proc/self/fd").iterdir()]) == before


async def test_folders_without_end(tmp_path: Path) -> None:
    put(tmp_path, "a.desktop", EDITOR)
    put(tmp_path, "/".join(["f"] * MAX_DEPTH) + "/b.desktop", EDITOR)
    put(tmp_path, "/".join(["f"] * (MAX_DEPTH + 1)) + "/c.desktop", EDITOR)
    (tmp_path / "applications" / "loop").symlink_to(".")
    assert repr(await read(DesktopEntries(), tmp_path)) == "<DesktopEntries 2>"


async def test_a_folder_with_files_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_file, "MAX_ENTRIES", 20)
    for number in range(15):
        put(tmp_path, f"{number}.desktop", EDITOR)
        put(tmp_path, f"{number}.other", "")
    # A link to itself is none that can be followed.
    (tmp_path / "applications" / "itself").symlink_to("itself")
    entries = await read(DesktopEntries(), tmp_path)
    found = [number for number in range(15) if entries.get(str(number))]
    assert 0 < len(found) < 15
    monkeypatch.setattr(desktop_file, "MAX_ENTRIES", 31)
    assert repr(await read(DesktopEntries(), tmp_path)) == "<DesktopEntries 15>"


async def test_a_folder_that_has_gone_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.desktop", EDITOR)
    put(tmp_path, "gone/b.desktop", EDITOR)
    scandir = os.scandir

    def going(path: str) -> object:
        if str(path).endswith("gone"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", going)
    assert repr(await read(DesktopEntries(), tmp_path)) == "<DesktopEntries 1>"


async def test_where_a_user_may_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.desktop", EDITOR)
    stat = Path.stat

    def denied(path: Path, **options: bool) -> os.stat_result:
        if path.parent.name == "others":
            raise PermissionError(path)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", denied)
    entries = await read(DesktopEntries(), tmp_path, tmp_path / "others")
    assert repr(entries) == "<DesktopEntries 1>"
