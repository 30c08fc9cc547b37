"""The whole demo as a person runs it: what it says, its exit status, and that nothing is left of it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(90)

DEMO = [sys.executable, "-m", "guestmux.demo"]
SHOWN = (
    "logins, locks, calls, concurrency, streams, a crash, logout, shutdown, every event in order, none lost"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demo puts its things; nothing of it is left there, or running, after the test."""
    with tempfile.TemporaryDirectory(prefix="guestmux-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        assert list(Path(name).iterdir()) == []
        assert _processes_that_mention(name) == []


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen([*DEMO, *options], env=environment, stdout=subprocess.PIPE, text=True)


def read_until(demo: "subprocess.Popen[str]", text: str) -> str:
    """Read the demo's lines up to one with a text in it."""
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


def test_everything_that_it_shows_holds_even_where_users_cannot_be_apart(folder: Path) -> None:
    # As it is for anybody but root.
    folder.chmod(0o700)
    with start(folder) as demo:
        said, _ = demo.communicate()
    assert demo.returncode == 0, said
    assert SHOWN in said
    assert "everything runs as uid" in said
    assert "stand-ins" in said
    assert "\x1b" not in said


def test_ctrl_c_in_the_middle_leaves_nothing(folder: Path) -> None:
    with start(folder) as demo:
        read_until(demo, "bob logs in")
        demo.send_signal(signal.SIGINT)
        demo.communicate()  # it may have something to say still
    assert demo.returncode == 130


def test_keep_leaves_it_running_with_commands_that_work(folder: Path) -> None:
    with start(folder, "--keep") as demo:
        said = read_until(demo, "Ctrl-C ends it.")
        address = re.search(r"export GUESTMUX_CONNECT=(\S+)", said)
        assert address is not None
        program = str(Path(sys.executable).with_name("guestmux"))
        listed = subprocess.check_output([program, "-c", address[1], "sessions"], text=True)
        demo.send_signal(signal.SIGINT)
    assert demo.returncode == 0
    assert SHOWN in said
    assert "alice" in listed
    assert "bob" in listed


def test_wrong_usage_is_said() -> None:
    done = subprocess.run([*DEMO, "--guest", "moon"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "container" in done.stderr


def _processes_that_mention(text: str) -> list[bytes]:
    """Command lines with a text in them, of all processes but this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if text.encode() in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found
