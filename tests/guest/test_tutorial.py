"""The tutorial of docs/agents.md in a guest with the packages installed, and a real systemd: as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from guestmux.guest import ADDRESS_VARIABLE
from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest
from tests.support.tutorial import Step, check_output, tutorial

pytestmark = [pytest.mark.guest, pytest.mark.timeout(180)]


def in_guest(login: TerminalLogin, step: Step, before: Sequence[Step]) -> str:
    """Run a block as the one shell would that ran those before."""
    lines = [line for one in before if not one.host for line in one.text.splitlines()]
    state = [line for line in lines if line.startswith(("cd ~", "export "))]
    return login.run(["bash", "-ec", "\n".join([*state, step.text])]).stdout


def on_host(guest: Guest, step: Step, state: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(state),
        ADDRESS_VARIABLE: f"unix:{guest.port('qmp')}",
    }
    return subprocess.run(
        ["bash", "-ec", step.text], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def test_every_command_of_the_tutorial(
    guest: Guest, log_in: Callable[[str], TerminalLogin], tmp_path: Path
) -> None:
    login = log_in("alice")
    steps, said = tutorial(), {True: "", False: ""}
    for number, step in enumerate(steps):
        said[step.host] += (
            on_host(guest, step, tmp_path) if step.host else in_guest(login, step, steps[:number])
        )
    check_output(said[False], said[True])
    assert guest.run("ls ~alice/.local/lib/guestmux-agents").stdout == ""
