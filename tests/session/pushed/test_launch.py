"""What a pushed agent's unit starts: the installed program, or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guestmux_session.__main__ import main
from guestmux_session.pushed.store import AgentFolder
from tests.support.bundles import NAME, Key, manifest

SHOW = b"""#!/bin/sh
printf '%s\\n' "$0" "$*" "$PWD" "$A" "$PYTHONPATH" "$GUESTMUX_SESSION"
"""

# Becomes the agent, so it is a process of its own.
LAUNCH = """
import json, os, sys
from pathlib import Path
from guestmux_session.errors import CommandError
from guestmux_session.pushed.launch import launch
from guestmux_session.pushed.place import Place
from guestmux_session.pushed.signatures import Signatures
store, signers, system, policy = json.loads(sys.argv[1])
try:
    launch(Place(Path(store), "alice", system), "org.example.clock", policy, Signatures(Path(signers), os.getuid()))
except (CommandError, OSError) as error:
    sys.exit(f"refused: {error}")
"""


class Rig:
    """An installed agent."""

    def __init__(self, folder: Path) -> None:
        self.key = Key(folder)
        self.store = folder / "store"
        self.signers = folder / "signers"
        self.trust("*@alice")
        self.folder = AgentFolder(self.store, NAME)

    def trust(self, words: str) -> None:
        """Trust the key for this."""
        self.signers.write_text(f"{words} {self.key.public}")
        self.signers.chmod(0o644)

    def install(self, program: bytes = SHOW, *, signed: bool = True) -> None:
        """As the agent that installs does it."""
        text = manifest({"run": program}, exec=["run", "--fast", "a b"], environment={"A": "1"})
        new = self.folder.begin()
        (new / "files" / "run").write_bytes(program)
        (new / "files" / "run").chmod(0o755)
        self.folder.adopt(new, "1.0", text.encode(), self.key.sign(text) if signed else "", "")
        self.folder.begin_trial("1.0")
        self.folder.keep()

    def launch(self, policy: str = "signed", *, system: bool = False) -> tuple[int, list[str]]:
        """Exit status, and the lines that are printed."""
        given = json.dumps([str(self.store), str(self.signers), system, policy])
        environment = {name: value for name, value in os.environ.items() if name != "GUESTMUX_SESSION"}
        done = subprocess.run(
            [sys.executable, "-c", LAUNCH, given],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_it_becomes_the_program(rig: Rig) -> None:
    rig.install()
    status, (program, arguments, folder, variable, modules, claim) = rig.launch()
    assert (status, program, arguments, variable, claim) == (0, "./run", "--fast a b", "1", "")
    assert folder == str(rig.store / NAME / "1.0" / "files")
    assert (Path(modules) / "guestmux_session").is_dir()
    assert rig.launch(system=True)[1][-1] == "system"


def test_what_the_policy_takes_no_more(rig: Rig) -> None:
    rig.install()
    assert "takes no agents any more" in rig.launch("never")[1][0]
    rig.trust("*@bob")
    assert "trusts no such signature" in rig.launch()[1][0]
    assert rig.launch("any")[0] == 0
    rig.trust("*@alice")
    assert rig.launch()[0] == 0


def test_a_key_that_has_expired_since_then_starts_what_it_signed(rig: Rig) -> None:
    rig.install()
    rig.trust('*@alice valid-before="20200101"')
    assert "key has expired" in rig.launch()[1][0]
    # 1 January 2019.
    (rig.store / NAME / "1.0" / "record.json").write_text('{"installed": 1546300800}')
    assert rig.launch()[0] == 0


def test_what_is_not_signed_starts_only_where_anything_does(rig: Rig) -> None:
    rig.install(signed=False)
    assert "trusts no such signature" in rig.launch()[1][0]
    assert rig.launch("any")[0] == 0


def test_a_manifest_that_somebody_has_changed(rig: Rig) -> None:
    rig.install()
    path = rig.store / NAME / "1.0" / "MANIFEST"
    path.write_text(path.read_text().replace("--fast", "--slow"))
    assert "incorrect signature" in rig.launch()[1][0]
    path.write_text("{}")
    assert "the installed 'org.example.clock'" in rig.launch("any")[1][0]


@pytest.mark.parametrize("program", [b"no program", b"#!/no/such/interpreter\n"])
def test_a_program_that_cannot_be_started(rig: Rig, program: bytes) -> None:
    rig.install(program)
    status, lines = rig.launch()
    assert status == 1
    assert lines[0].startswith("refused: [Errno")


def test_the_command_says_why_and_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run-pushed-agent", "org.example.none"]) == 78
    assert "org.example.none: no such agent was pushed here" in capsys.readouterr().err
