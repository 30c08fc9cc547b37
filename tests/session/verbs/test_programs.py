"""Programs that verbs run: what of a failure reaches the host, and that none is waited for without end."""

import os
import time
from pathlib import Path

import pytest

from guestmux_session.errors import CommandError
from guestmux_session.verbs.programs import MAX_OUTPUT, Programs, run_program


@pytest.fixture
def programs() -> Programs:
    return Programs("/usr/bin:/bin")


def test_a_success_says_nothing_and_input_is_given(programs: Programs, tmp_path: Path) -> None:
    given = os.urandom(1 << 20)
    programs.run(["cp", "/dev/stdin", str(tmp_path / "copy")], "copy", given)
    assert (tmp_path / "copy").read_bytes() == given


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo whatever >&2; echo more; exit 3", "child process has failed to try: whatever\nmore"),
        ("exit 3", "child process has failed to try: exit status 3"),
        ("kill -9 $$", "child process has terminated abnormally"),
        ("echo last; kill -9 $$", "child process has terminated abnormally: last"),
        ("exec >&- 2>&-; exit 4", "child process has failed to try: exit status 4"),
    ],
)
def test_a_failure_says_why(programs: Programs, script: str, text: str) -> None:
    with pytest.raises(CommandError) as caught:
        programs.run(["sh", "-c", script], "try")
    assert caught.value.desc == text


def test_a_program_that_is_not_there(programs: Programs) -> None:
    with pytest.raises(CommandError, match=r"failed to try: no-such-thing was not found"):
        programs.run(["no-such-thing"], "try")
    assert programs.status(["no-such-thing"]) is None
    assert programs.status(["false"]) == 1


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "empty").touch(mode=0o755)
    with pytest.raises(CommandError, match=r"failed to create child process: Exec format error"):
        run_program([str(tmp_path / "empty")], "try", seconds=10)


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pid, seconds = tmp_path / "pid", 0.25
    script = f"sh -c 'echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000' & wait"
    # On a busy machine it is ended before it has any.
    while not pid.exists():
        seconds *= 2
        with pytest.raises(CommandError, match=rf"failed to try: it was ended after {seconds:g} s"):
            run_program(["/bin/sh", "-c", script], "try", seconds=seconds)
    while is_alive(int(pid.read_text())):
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """It is nobody's child that could be waited for, so it may stay as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_who_still_holds_the_output_is_not_waited_for(programs: Programs) -> None:
    with pytest.raises(CommandError) as caught:
        programs.run(["sh", "-c", "sleep 3 & echo started; exit 1"], "try")
    assert caught.value.desc == "child process has failed to try: started"


def test_output_is_kept_to_a_bound(programs: Programs) -> None:
    with pytest.raises(CommandError) as caught:
        programs.run(["sh", "-c", "yes | head --bytes=10000000; exit 1"], "try")
    assert MAX_OUTPUT <= len(caught.value.desc) < MAX_OUTPUT + 100
