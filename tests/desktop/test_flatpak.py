"""What flatpak itself installs, upgrades and removes for a user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import anyio
import pytest

from guestmux_session.desktop import app_places, installed_watch
from tests.support.app_folders import METAINFO, AppFolders
from tests.support.needed_programs import need_programs

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

NAME = "org.example.Draw"
METADATA = f"[Application]\nname={NAME}\nruntime=org.freedesktop.Platform/x86_64/23.08\ncommand=draw\n"
DESKTOP = "[Desktop Entry]\nType=Application\nName=Draw\nExec=draw\n"


class Flatpak:
    """flatpak, for one user, with a repository of its own.

    Args:
        directory: for everything.
        variables: of the user's session.
    """

    def __init__(self, directory: Path, variables: dict[str, str]) -> None:
        self._app, self._repository = directory / "app", directory / "repository"
        self._environment = {**os.environ, **variables, "PATH": os.environ["PATH"]}

    def publish(self, version: str) -> None:
        """Have a version in the repository."""
        for path, text in (
            ("metadata", METADATA),
            ("files/bin/draw", "#!/bin/sh\n"),
            (f"files/share/metainfo/{NAME}.metainfo.xml", METAINFO.format(version=version)),
            (f"export/share/applications/{NAME}.desktop", DESKTOP),
        ):
            (self._app / path).parent.mkdir(parents=True, exist_ok=True)
            (self._app / path).write_text(text)
        (self._app / "files/bin/draw").chmod(0o755)
        self("build-export", str(self._repository), str(self._app))

    def subscribe(self) -> None:
        """Have the user know the repository."""
        self("--user", "remote-add", "--no-gpg-verify", "local", str(self._repository))

    async def do(self, command: str) -> None:
        """Install, update or uninstall the application."""
        where = ["local"] if command == "install" else []
        dependencies = [] if command == "uninstall" else ["--no-deps"]
        arguments = ["--user", command, "-y", "--noninteractive", *dependencies, *where, NAME]
        await anyio.to_thread.run_sync(lambda: self(*arguments))

    def __call__(self, *arguments: str) -> None:
        done = subprocess.run(["flatpak", *arguments], env=self._environment, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()


async def test_it_comes_is_upgraded_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_programs("flatpak")
    monkeypatch.setattr(installed_watch, "QUIET_SECONDS", 0.5)
    monkeypatch.setattr(app_places, "FLATPAK", tmp_path / "nosuch")
    guest = AppFolders(tmp_path)
    flatpak = Flatpak(tmp_path, guest.environment)
    flatpak.publish("1.2.3")
    flatpak.subscribe()
    told = {"manager": "flatpak", "scope": "user"}
    one = {"name": NAME, "architecture": ""}
    async with guest.watched():
        await flatpak.do("install")
        assert await guest.next() == {**told, "installed": [{**one, "version": "1.2.3"}]}
        app = (await guest.installed())[NAME]
        assert (app.name, app.version, app.origin, app.scope) == ("Draw", "1.2.3", "flatpak", "user")
        flatpak.publish("1.3")
        await flatpak.do("update")
        assert await guest.next() == {**told, "upgraded": [{**one, "from": "1.2.3", "to": "1.3"}]}
        await flatpak.do("uninstall")
        assert await guest.next() == {**told, "removed": [{**one, "version": "1.3"}]}
