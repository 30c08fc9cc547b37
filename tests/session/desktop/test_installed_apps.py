"""What is installed, as desktop files, Flatpaks and Snaps have it; and what of it came and went."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from guestmux_session.desktop import app_places, app_versions, installed_watch
from guestmux_session.desktop.installed_apps import name_keys
from tests.support.app_folders import AppFolders

pytestmark = pytest.mark.anyio


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppFolders:
    monkeypatch.setattr(installed_watch, "QUIET_SECONDS", 0.1)
    guest = AppFolders(tmp_path)
    monkeypatch.setattr(app_places, "FLATPAK", guest.flatpak)
    monkeypatch.setattr(app_places, "SNAPD", guest.snapd)
    monkeypatch.setattr(app_versions, "SNAPS", (guest.snaps,))
    return guest


async def test_where_applications_come_from(guest: AppFolders) -> None:
    guest.put(guest.usr, "editor", "Name=Editor", "Categories=Utility;TextEditor;", "MimeType=text/plain;")
    guest.put(guest.own, "mine", "Name=Mine")
    guest.put_flatpak("org.example.Draw", "1.2.3")
    guest.put_flatpak("org.example.Own", "4", guest.own / "flatpak")
    guest.put(guest.snapd, "chat_chat", "Name=Chat", "X-SnapInstanceName=chat")
    yaml = guest.snaps / "chat/current/meta/snap.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text("name: chat\nversion: '2.0-beta'\nsummary: version\n")
    apps = await guest.installed()
    assert [*apps] == ["chat_chat", "editor", "mine", "org.example.Draw", "org.example.Own"]
    assert {name: (app.origin, app.scope, app.version or "") for name, app in apps.items()} == {
        "editor": ("system", "system", ""),
        "mine": ("user", "user", ""),
        "org.example.Draw": ("flatpak", "system", "1.2.3"),
        "org.example.Own": ("flatpak", "user", "4"),
        "chat_chat": ("snap", "system", "2.0-beta"),
    }
    editor = apps["editor"]
    assert (editor.name, editor.categories, editor.mime_types) == (
        "Editor",
        ["Utility", "TextEditor"],
        msgspec.UNSET,
    )
    assert (await guest.installed(mime_types=True))["editor"].mime_types == ["text/plain"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["<release " * 25_000, "<release version=" * 15_000])
async def test_metadata_that_is_hard_to_read(guest: AppFolders, text: str) -> None:
    guest.put_flatpak("org.example.Draw", "1")
    (metadata,) = guest.flatpak.rglob("*.xml")
    metadata.write_text(text)
    assert not (await guest.installed())["org.example.Draw"].version


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("text", "version"), [(" " * 200_000 + "'", ""), (" " * 200_000 + "1 #'' ", "1 #")])
async def test_a_snap_that_is_hard_to_read(guest: AppFolders, text: str, version: str) -> None:
    guest.put(guest.snapd, "chat_chat", "Name=Chat", "X-SnapInstanceName=chat")
    yaml = guest.snaps / "chat/current/meta/snap.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text(f"version:{text}\n")
    assert ((await guest.installed())["chat_chat"].version or "") == version


async def test_what_no_menu_has(guest: AppFolders) -> None:
    guest.environment["XDG_CURRENT_DESKTOP"] = "ubuntu:GNOME"
    guest.put(guest.usr, "a", "Name=A", "NoDisplay=true")
    guest.put(guest.usr, "b", "Name=B", "OnlyShowIn=KDE;")
    guest.put(guest.usr, "c", "Name=C", "NotShowIn=GNOME;KDE;")
    guest.put(guest.usr, "d", "Name=D", "OnlyShowIn=KDE;GNOME;")
    assert [*await guest.installed()] == ["d"]
    assert [*await guest.installed(hidden=True)] == ["a", "b", "c", "d"]


async def test_what_is_not_there(guest: AppFolders) -> None:
    guest.put(guest.usr, "deleted", "Name=X")
    # The user's word that it is gone (specification, "Hidden").
    guest.put(guest.own, "deleted", "Hidden=true")
    guest.put(guest.usr, "left", "Name=X", "TryExec=no-such-program")
    guest.put(guest.usr, "link", "Name=X").write_text("[Desktop Entry]\nType=Link\n")
    guest.put(guest.usr, "overridden", "Name=System's")
    guest.put(guest.own, "overridden", "Name=Mine")
    apps = await guest.installed(hidden=True)
    assert [(app.name, app.origin) for app in apps.values()] == [("Mine", "user")]


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"LANG": "de_AT.UTF-8"}, "Editor (AT)"),
        ({"LANG": "de_DE.UTF-8@euro"}, "Bearbeiter"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "fr_FR"}, "Editor"),
        ({"LANG": "C.UTF-8"}, "Editor"),
        ({}, "Editor"),
    ],
)
async def test_in_the_sessions_language(guest: AppFolders, variables: dict[str, str], name: str) -> None:
    guest.environment |= variables
    guest.put(guest.usr, "e", "Name=Editor", "Name[de]=Bearbeiter", "Name[de_AT]=Editor (AT)")
    assert (await guest.installed())["e"].name == name


def test_the_keys_of_a_language() -> None:
    keys = name_keys({"LC_MESSAGES": "sr_RS.UTF-8@latin", "LANG": "C"})
    assert keys == ["Name[sr_RS@latin]", "Name[sr_RS]", "Name[sr@latin]", "Name[sr]", "Name"]


async def test_hostile_files_harm_nobody(guest: AppFolders) -> None:
    guest.put(guest.own, "long", f"Name={'x' * 10_000}", "Categories=" + ";".join(["y" * 1000] * 1000))
    guest.put(guest.own, "control", "Name=\x1b[31mred\x07")
    guest.put(guest.own, "flat", "Name=F", "X-Flatpak=../../../etc")
    apps = await guest.installed()
    assert (len(apps["long"].name), len(apps["long"].categories), len(apps["long"].categories[0])) == (
        256,
        32,
        256,
    )
    assert apps["control"].name == "\ufffd[31mred\ufffd"


async def test_what_the_user_installs_and_removes_is_told(guest: AppFolders) -> None:
    async with guest.watched():
        own = guest.put(guest.own, "mine", "Name=Mine")
        guest.put(guest.own, "helper", "Name=Helper", "NoDisplay=true")
        assert await guest.next() == {
            "manager": "desktop-files",
            "scope": "user",
            "installed": [{"name": "mine", "architecture": "", "version": ""}],
        }
        own.unlink()
        assert (await guest.next())["removed"] == [{"name": "mine", "architecture": "", "version": ""}]


async def test_a_flatpak_that_comes_is_upgraded_and_goes(guest: AppFolders) -> None:
    """From a guest without any Flatpak on: none of its folders is there yet."""
    async with guest.watched():
        link = guest.put_flatpak("org.example.Draw", "1.2.3")
        told = {"manager": "flatpak", "scope": "system"}
        one = {"name": "org.example.Draw", "architecture": ""}
        assert await guest.next() == {**told, "installed": [{**one, "version": "1.2.3"}]}
        guest.put_flatpak("org.example.Draw", "1.3")
        assert await guest.next() == {**told, "upgraded": [{**one, "from": "1.2.3", "to": "1.3"}]}
        link.unlink()
        assert await guest.next() == {**told, "removed": [{**one, "version": "1.3"}]}


async def test_folders_that_go_and_come_back(guest: AppFolders) -> None:
    async with guest.watched():
        shutil.rmtree(guest.own)
        assert [one["name"] for one in (await guest.next())["removed"]] == ["first"]
        guest.put(guest.own, "mine", "Name=Mine")
        assert [one["name"] for one in (await guest.next())["installed"]] == ["mine"]


async def test_an_event_is_bounded(guest: AppFolders) -> None:
    async with guest.watched():
        for number in range(installed_watch.MAX_SHOWN + 1):
            guest.put(guest.own, f"{number:03}", "Name=X")
        told = await guest.next()
        while not told.get("truncated"):
            # It was told while they came.
            for path in (guest.own / "applications").glob("[0-9]*"):
                path.unlink()
            await guest.next()
            for number in range(installed_watch.MAX_SHOWN + 1):
                guest.put(guest.own, f"{number:03}", "Name=X")
            told = await guest.next()
        assert len(told["installed"]) == installed_watch.MAX_SHOWN
