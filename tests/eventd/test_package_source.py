"""PACKAGES_CHANGED from dpkg's file and rpm's real database."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import pytest

from guestmux_eventd import package_source
from guestmux_eventd.package_database import Database, DatabaseUnreadable, Dpkg, Rpm, databases
from guestmux_eventd.package_source import PackageSource
from guestmux_eventd.session_table import Emission
from guestmux_protocol.events import PackagesChanged
from guestmux_protocol.packages import Package

pytestmark = pytest.mark.anyio

SPEC = """\
Name: hello
Version: {version}
Release: 1
Epoch: 2
Summary: a package of a test
License: none
BuildArch: noarch
%description
A package of a test.
%files
"""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_source, "QUIET_SECONDS", 0.05)


@asynccontextmanager
async def followed(database: Database) -> AsyncIterator[anyio.abc.ObjectReceiveStream[PackagesChanged]]:
    send, receive = anyio.create_memory_object_stream[PackagesChanged](10)

    def publish(emissions: list[Emission]) -> None:
        for name, data in emissions:
            assert name == "PACKAGES_CHANGED"
            assert isinstance(data, PackagesChanged)
            send.send_nowait(data)

    source = PackageSource(database, publish)
    async with send, receive, anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        while "not read" in repr(source):  # noqa: ASYNC110 - a thread reads, and tells nobody but the source
            await anyio.sleep(0.01)
        yield receive
        tasks.cancel_scope.cancel()


def stanza(name: str, version: str) -> str:
    return f"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n"


def replace_status(directory: Path, *packages: tuple[str, str]) -> None:
    """As dpkg does it."""
    (directory / "status-new").write_text("".join(stanza(*package) for package in packages))
    (directory / "status-new").rename(directory / "status")


async def test_what_dpkg_did_is_told_once_it_rests(tmp_path: Path) -> None:
    replace_status(tmp_path, ("a", "1"), ("b", "1"))
    async with followed(Dpkg(tmp_path)) as told:
        replace_status(tmp_path, ("a", "1"))
        replace_status(tmp_path, ("a", "2"), ("c", "1"))
        event = await told.receive()
        assert [package.name for package in event.installed] == ["c"]
        assert [package.name for package in event.removed] == ["b"]
        assert [(each.before, each.after) for each in event.upgraded] == [("1", "2")]
        replace_status(tmp_path, ("a", "2"))
        assert [package.name for package in (await told.receive()).removed] == ["c"]


@dataclass
class Scripted:
    """A database that gives one answer after the other, and is changed while it is read."""

    directory: Path
    answers: list[list[Package] | DatabaseUnreadable] = field(default_factory=list)
    manager: Literal["dpkg", "rpm"] = "dpkg"

    def concerns(self, name: str) -> bool:
        return name == "status"

    def read(self) -> Iterator[Package]:
        if len(self.answers) > 1:
            (self.directory / "status").write_text("changed")
        answer = self.answers.pop(0)
        if isinstance(answer, DatabaseUnreadable):
            raise answer
        yield from answer


async def test_what_changes_while_it_is_read_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    package = Package("a", "all", "1")
    script = Scripted(tmp_path, [[], DatabaseUnreadable("locked"), [package]])
    async with followed(script) as told:
        assert [each.name for each in (await told.receive()).installed] == ["a"]
    assert caplog.messages == ["dpkg: what is installed cannot be read now: locked"]


async def test_a_directory_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await PackageSource(Dpkg(tmp_path / "none"), lambda _emissions: None).run()
    assert caplog.messages == ["no PACKAGES_CHANGED of dpkg: No such file or directory"]


def test_an_unreadable_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreadable, match="No such file"):
        list(Dpkg(tmp_path).read())
    with pytest.raises(DatabaseUnreadable, match="unable to open"):
        list(Rpm(tmp_path).read())
    (tmp_path / "rpmdb.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseUnreadable, match="not a database"):
        list(Rpm(tmp_path).read())


def test_headers_that_are_none_are_passed_over(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "rpmdb.sqlite")
    database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
    database.executemany("INSERT INTO Packages (blob) VALUES (?)", [("text",), (b"\0" * 16,), (None,)])
    database.commit()
    database.close()
    assert list(Rpm(tmp_path).read()) == []


def test_this_machines_own(tmp_path: Path) -> None:
    found = {database.manager: database for database in databases()}
    if "dpkg" not in found:
        pytest.skip("no dpkg on this machine")
    # A copy: somebody may be installing something.
    shutil.copy(found["dpkg"].directory / "status", tmp_path)
    query = [
        "dpkg-query",
        f"--admindir={tmp_path}",
        "--show",
        "--showformat=${db:Status-Status} ${Package} ${Architecture} ${Version}\\n",
    ]
    shown = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    rows = (line.split(" ") for line in shown.splitlines())
    assert set(Dpkg(tmp_path).read()) == {Package(*row[1:]) for row in rows if row[0] == "installed"}


@pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpm is not installed")
async def test_what_rpm_did(tmp_path: Path) -> None:
    built = [build(tmp_path, version) for version in ("1.0", "1.1")]
    directory = tmp_path / "root/var/lib/rpm"
    rpm(tmp_path, "--initdb")
    async with followed(Rpm(directory)) as told:
        rpm(tmp_path, "--install", "--nodeps", str(built[0]))
        assert [each.version for each in (await told.receive()).installed] == ["2:1.0-1"]
        rpm(tmp_path, "--upgrade", "--nodeps", str(built[1]))
        assert [(each.before, each.after) for each in (await told.receive()).upgraded] == [
            ("2:1.0-1", "2:1.1-1")
        ]
        rpm(tmp_path, "--erase", "hello")
        assert [each.name for each in (await told.receive()).removed] == ["hello"]


def build(folder: Path, version: str) -> Path:
    spec = folder / f"{version}.spec"
    spec.write_text(SPEC.format(version=version))
    subprocess.run(
        ["rpmbuild", "--define", f"_topdir {folder}", "-bb", spec], check=True, capture_output=True
    )
    return next(folder.glob(f"RPMS/noarch/hello-{version}-*.rpm"))


def rpm(folder: Path, *words: str) -> None:
    where = ["--root", str(folder / "root"), "--dbpath", "/var/lib/rpm"]
    subprocess.run(["rpm", *where, *words], check=True, capture_output=True)
