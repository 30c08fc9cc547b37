"""The tutorial of docs/agents.md works as it is written; only systemd is played here, tests/guest has a real one."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.standin_logind import standin_logind
from tests.support.tutorial import Step, check_output, tutorial

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

END = b"that was all: "
MAX_OUTPUT = 1 << 20

SYSTEMCTL = """#!/bin/sh
# The user's systemd, as far as the tutorial needs one.
unit=${4:-$3}
name=${unit#guestmux-agent@}
name=${name%.service}
case $2 in
restart | disable) kill "$(cat "$HOME/pid")" ;;
esac
case $2 in
enable | restart)
    cd "$HOME/.local/lib/guestmux-agents/$name" || exit
    ./agent >"$HOME/log" 2>&1 &
    echo $! >"$HOME/pid"
    ;;
esac
"""


def programs(folder: Path) -> None:
    folder.mkdir()
    for name, module in (("guestmux", "guestmux"), ("guestmux-session", "guestmux_session")):
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
    (folder / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (folder / "systemctl").write_text(SYSTEMCTL)
    for program in folder.iterdir():
        program.chmod(0o755)


async def run(shell: Process, output: BufferedByteReceiveStream, step: Step) -> str:
    """Run a block; gives what it said. The shell ends at the first command that fails."""
    assert shell.stdin
    await shell.stdin.send(step.text.encode() + b"printf '%s\\n' '" + END + b"'\n")
    try:
        said = await output.receive_until(END + b"\n", MAX_OUTPUT)
    except anyio.IncompleteRead:
        pytest.fail(f"a command failed in:\n{step.text}\n{output.buffer.decode()}")
    return said.decode()


async def follow(steps: list[Step], environment: dict[str, str]) -> dict[bool, str]:
    said = {True: "", False: ""}
    async with await anyio.open_process(
        ["bash", "-e"], stdin=PIPE, stderr=STDOUT, env=environment, cwd=environment["HOME"]
    ) as shell:
        assert shell.stdout
        output = BufferedByteReceiveStream(shell.stdout)
        for step in steps:
            # The host knows the user by another name.
            text = step.text.replace("user:alice", f"user:{getpass.getuser()}")
            said[step.host] += await run(shell, output, Step(text, step.host))
        assert shell.stdin
        await shell.stdin.aclose()
    return said


def variables(bus: PrivateBus, eventd: Eventd, home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "DBUS_SYSTEM_BUS_ADDRESS": bus.address,
        "GUESTMUX_CONNECT": f"unix:{eventd.qmp}",
        "XDG_STATE_HOME": str(home / "state"),
    }


async def test_every_command_of_the_tutorial(system_bus: PrivateBus, tmp_path: Path) -> None:
    programs(tmp_path / "bin")
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login(getpass.getuser(), os.getuid(), id="c1")
        with running_eventd(system_bus.address) as eventd:
            said = await follow(tutorial(), variables(system_bus, eventd, tmp_path))
    check_output(said[False], said[True])
    assert not (tmp_path / ".local/lib/guestmux-agents/org.example.hello").exists()
