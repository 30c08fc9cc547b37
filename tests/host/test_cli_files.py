"""`guestmux cat` and `cp`: against a stock qemu-ga, and a guest that fails."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from guestmux.cli import exits
from guestmux.cli.app import run
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.standin_guest import SILENCE, Refused, StandInGuest

Cli = Callable[..., tuple[int, str, str]]

BIG = 5_000_000
"""Bytes: several pieces on any port."""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def cli(stock: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line against a stock qemu-ga; gives exit status, stdout, stderr."""
    monkeypatch.setenv(ADDRESS_VARIABLE, stock)

    def cli(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return cli


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's directory."""
    path = tmp_path / "host"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The guest's directory."""
    path = tmp_path / "guest"
    path.mkdir()
    return path


def test_cat(cli: Cli, there: Path) -> None:
    (there / "a").write_text("one\n")
    (there / "b").write_text("two\n")
    assert cli("cat", there / "a", there / "b") == (exits.OK, "one\ntwo\n", "")


def test_cat_goes_on_after_one_that_fails(cli: Cli, there: Path) -> None:
    (there / "b").write_text("two\n")
    status, out, err = cli("cat", there / "a", there / "b")
    assert (status, out) == (exits.FAILED, "two\n")
    assert err.startswith(f"guestmux: {there}/a: ")
    assert "No such file" in err


def test_cat_to_a_reader_that_leaves(stock: str, there: Path) -> None:
    (there / "big").write_bytes(b"x" * BIG)
    command = [sys.executable, "-m", "guestmux", "-c", stock, "cat", str(there / "big")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(10) == b"x" * 10
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == exits.BROKEN_PIPE


def test_a_big_file_both_ways(cli: Cli, here: Path, there: Path) -> None:
    content = os.urandom(BIG)
    Path("big").write_bytes(content)
    status, out, err = cli("cp", "big", f":{there}/big")
    assert (status, out) == (exits.OK, "")
    assert err.startswith("guestmux: 1 file, 4.8 MiB in ")
    assert (there / "big").read_bytes() == content
    assert cli("cp", "-q", f"guest:{there}/big", "back") == (exits.OK, "", "")
    assert Path("back").read_bytes() == content
    assert names(here) == ["back", "big"], "nothing else is left"


def test_into_directories(cli: Cli, here: Path, there: Path) -> None:
    Path("a").write_text("one")
    Path("b").write_text("two")
    assert cli("cp", "-q", "a", "b", f":{there}") == (exits.OK, "", "")
    assert names(there) == ["a", "b"]
    Path("a").write_text("three")
    assert cli("cp", "a", f":{there}")[0] == exits.OK, "that it is a directory is found out"
    assert (there / "a").read_text() == "three"
    Path("in").mkdir()
    assert cli("cp", f":{there}/a", f":{there}/b", "in")[0] == exits.OK
    assert names(Path("in")) == ["a", "b"]


@pytest.mark.parametrize("target", ["nowhere/", "file/x"])
def test_no_such_directory(cli: Cli, here: Path, there: Path, target: str) -> None:
    (there / "a").write_text("one")
    Path("file").write_text("")
    status, _, err = cli("cp", f":{there}/a", target)
    assert status == exits.FAILED
    assert err.startswith(f"guestmux: {target[:4]}")


def test_several_files_need_a_directory(cli: Cli, here: Path, there: Path) -> None:
    (there / "a").write_text("one")
    status, _, err = cli("cp", f":{there}/a", f":{there}/a", "file")
    assert status == exits.FAILED
    assert "file: is no directory" in err


def test_a_directory_is_not_overwritten(cli: Cli, here: Path, there: Path) -> None:
    (there / "a").write_text("one")
    Path("in/a").mkdir(parents=True)
    status, _, err = cli("cp", f":{there}/a", "in")
    assert (status, err) == (exits.FAILED, "guestmux: in/a: is a directory\n")


def test_directories_are_not_copied(cli: Cli, here: Path, there: Path) -> None:
    Path("in").mkdir()
    assert "in: is a directory" in cli("cp", "in", f":{there}/x")[2]
    assert "one by one" in cli("cp", "-r", "in", f":{there}/x")[2]
    assert "one by one" in cli("cp", "-r", f":{there}", "x")[2]
    status, _, err = cli("cp", f":{there}", "x")
    assert status == exits.FAILED
    assert "Is a directory" in err
    assert names(here) == ["in"], "no beginning of it is left"


def test_stdin_and_stdout(
    cli: Cli, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    with io.TextIOWrapper(io.FileIO(reader)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert cli("cp", "-", f":{there}/a")[0] == exits.OK
    assert cli("cp", f":{there}/a", "-") == (exits.OK, "from a pipe", "")


def test_an_existing_file_keeps_its_mode_and_a_link_its_target(cli: Cli, here: Path, there: Path) -> None:
    (there / "a").write_text("new")
    Path("file").write_text("old")
    Path("file").chmod(0o640)
    Path("link").symlink_to("file")
    assert cli("cp", f":{there}/a", "link")[0] == exits.OK
    assert Path("link").is_symlink()
    assert Path("file").read_text() == "new"
    assert Path("file").stat().st_mode & 0o777 == 0o640


def test_stdin_has_no_name(cli: Cli, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        status, _, err = cli("cp", "-", f":{there}/")
    assert status == exits.FAILED
    assert "has no name" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("to_guest", [True, False])
def test_a_signal_leaves_no_half_file(
    stock: str, here: Path, there: Path, number: signal.Signals, to_guest: bool
) -> None:
    os.mkfifo(here / "fifo")
    (there / "big").write_bytes(b"x" * BIG)
    paths = ["fifo", f":{there}/big"] if to_guest else [f":{there}/big", "big"]
    command = [sys.executable, "-m", "guestmux", "-c", stock, "cp", *paths]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, ExitStack() as stack:
        if to_guest:
            stack.enter_context((here / "fifo").open("wb", buffering=0)).write(b"x" * 10_000)
        while to_guest and not 0 < (there / "big").stat().st_size < BIG:
            pass
        while not to_guest and not list(here.glob(".big.guestmux-part")):
            pass
        process.send_signal(number)
        assert process.stderr
        said = process.stderr.read().decode()
    assert process.returncode == 128 + number
    assert ("incomplete" in said) == to_guest
    assert names(here) == ["fifo"]


def test_what_is_no_regular_file_is_written_as_it_is(cli: Cli, here: Path, there: Path) -> None:
    (there / "a").write_text("new")
    assert cli("cp", f":{there}/a", "/dev/null") == (exits.OK, "", "")


def test_a_disk_that_is_full(cli: Cli, stock: str, here: Path, there: Path) -> None:
    (there / "a").write_text("new")
    status, _, err = cli("cp", f":{there}/a", "/dev/full")
    assert (status, err) == (exits.FAILED, "guestmux: /dev/full: No space left on device\n")
    command = [sys.executable, "-m", "guestmux", "-c", stock, "cat", str(there / "a")]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (exits.FAILED, b"guestmux: stdout: No space left on device\n")


def test_a_guest_file_that_cannot_be_written(cli: Cli, here: Path) -> None:
    Path("a").write_text("new")
    status, _, err = cli("cp", "a", ":/proc/sys/kernel/version")
    assert status == exits.FAILED
    assert err.startswith("guestmux: :/proc/sys/kernel/version: ")
    assert "Permission denied" in err


def test_a_host_file_that_cannot_be_read(cli: Cli, here: Path, there: Path) -> None:
    status, _, err = cli("cp", "nosuch", f":{there}/x")
    assert (status, err) == (exits.FAILED, "guestmux: nosuch: No such file or directory\n")
    assert names(there) == []


@pytest.mark.parametrize("paths", [("a", "b"), (":/a", ":/b"), ("a", ":/b", "c"), ("a", ":/b", ":/c")])
def test_one_side_is_the_guest(cli: Cli, paths: tuple[str, ...]) -> None:
    status, _, err = cli("cp", *paths)
    assert status == exits.USAGE
    assert "write it as :PATH" in err


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["qmp"])
class TestAGuestThatFails:
    @pytest.fixture
    def cli(self, standin: StandInGuest, capfd: pytest.CaptureFixture[str]) -> Any:
        async def cli(*arguments: str) -> tuple[int, str, str]:
            status = await run_sync(run, ["-c", standin.address, *arguments])
            out, err = capfd.readouterr()
            assert "Traceback" not in err
            return status, out, err

        return cli

    @staticmethod
    def serve(standin: StandInGuest, **commands: Callable[[dict[str, Any]], Any]) -> None:
        standin.commands["guest-file-open"] = lambda _: 5
        standin.commands["guest-file-close"] = lambda _: {}
        standin.commands["guest-file-seek"] = lambda _: {"position": 0, "eof": False}
        for name, function in commands.items():
            standin.commands[f"guest-file-{name}"] = function

    async def test_the_guest_goes_while_it_is_read(self, cli: Any, standin: StandInGuest, here: Path) -> None:
        pieces = iter([{"count": 3, "buf-b64": "YWJj", "eof": False}])

        def read(_: dict[str, Any]) -> Any:
            piece = next(pieces, None)
            if piece is None:
                standin.hang_up()
                return SILENCE
            return piece

        self.serve(standin, read=read)
        status, _, err = await cli("cp", ":/x", "x")
        assert status == exits.GUESTMUX_FAILED
        assert "hung up" in err
        assert names(here) == [], "half a file is none"

    async def test_the_guest_goes_while_it_is_written(
        self, cli: Any, standin: StandInGuest, here: Path
    ) -> None:
        await anyio.Path("x").write_bytes(b"abcdef")
        counts = iter([4])

        def write(_: dict[str, Any]) -> Any:
            count = next(counts, None)
            if count is None:
                standin.hang_up()
                return SILENCE
            return {"count": count, "eof": False}

        self.serve(standin, write=write)
        status, _, err = await cli("cp", "x", ":/y")
        assert status == exits.GUESTMUX_FAILED
        assert err.startswith("guestmux: :/y in the guest is incomplete: 4 bytes of x were written\n")

    async def test_the_disk_is_full_when_it_is_closed(
        self, cli: Any, standin: StandInGuest, here: Path
    ) -> None:
        await anyio.Path("x").write_bytes(b"abcdef")

        def close(_: dict[str, Any]) -> Any:
            raise Refused("No space left on device")

        self.serve(standin, close=close, write=lambda _: {"count": 6, "eof": False})
        status, _, err = await cli("cp", "x", ":/y")
        assert status == exits.FAILED
        assert "incomplete" in err
        assert "guestmux: :/y: No space left on device\n" in err

    async def test_one_refused_by_policy(self, cli: Any, standin: StandInGuest, here: Path) -> None:
        def refuse(_: dict[str, Any]) -> Any:
            raise Refused("Command guest-file-open has been disabled", "CommandNotFound")

        standin.commands["guest-file-open"] = refuse
        assert (await cli("cat", "/x"))[0] == exits.REFUSED


def test_what_does_not_work_without_streams_is_said(cli: Cli, here: Path, there: Path) -> None:
    Path("a").write_text("x")
    for paths in [("a", f":{there}/a"), (f":{there}/a", "b")]:
        status, _, err = cli("cp", "-q", "--resume", *paths)
        assert status == exits.OK
        assert "without streams nothing is preserved or resumed" in err


def test_a_bar_on_a_terminal(stock: str, there: Path, here: Path) -> None:
    (there / "big").write_bytes(b"x" * BIG)
    terminal, other_end = os.openpty()
    command = [sys.executable, "-m", "guestmux", "-c", stock, "cp", f":{there}/big", "big"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(command, stderr=other_end, env=environment) as process:
        os.close(other_end)
        shown = b""
        while piece := _read(terminal):
            shown += piece
    os.close(terminal)
    assert process.returncode == exits.OK
    assert "━" in shown.decode()
    assert "4.8 MiB" in shown.decode() or "4.8/4.8 MiB" in shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # So ends a terminal that nobody has open any more.
        return b""
