"""guestmux-session run-pushed-agent: what the pushed agents' units start. It becomes the agent's own program."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from guestmux_protocol.agent_bundle import signed_identity
from guestmux_session.agent import CLAIM_VARIABLE
from guestmux_session.errors import CommandError
from guestmux_session.pushed.place import Place, PushPolicy, system_place, user_place
from guestmux_session.pushed.signatures import Signatures
from guestmux_session.pushed.store import AgentFolder
from guestmux_session.session_config import read_session_config
from guestmux_session.system_config import ConfigError, read_system_config
from guestmux_session.system_path import DEFAULT_PATH

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: another start would not mend it, and the unit is not tried again."""

MODULES = Path(__file__).parents[2]
"""Where the SDK is, for agents that are written with it."""


def launch_main(arguments: list[str]) -> int:
    """Become the agent; returns an exit status only where that cannot be."""
    parser = argparse.ArgumentParser(prog="guestmux-session run-pushed-agent", description=__doc__)
    parser.add_argument("--system", action="store_true", help="an agent of the system's, not of this user's")
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    try:
        if options.system:
            launch(system_place(), options.name, read_system_config(Path(DEFAULT_PATH)).pushed_agents)
        launch(user_place(), options.name, read_session_config().pushed_agents)
    except (CommandError, ConfigError, OSError) as error:
        print(f"guestmux-session: {options.name}: {error}", file=sys.stderr)
    return EXIT_CONFIG


def launch(place: Place, name: str, policy: PushPolicy, signatures: Signatures | None = None) -> NoReturn:
    """Become an installed agent's program, in the folder with its files.

    The signature is checked once more, so that a key that is trusted no more starts nothing. One that has expired since
    the installation does.

    Raises:
        CommandError: it is not installed, or the policy does not take it any more.
        OSError: it cannot be started.
    """
    folder = AgentFolder(place.store, name)
    version = folder.current
    if version is None:
        raise CommandError("no such agent was pushed here")
    if policy == "never":
        raise CommandError("the policy takes no agents any more (pushed-agents)")
    if policy == "signed":
        (signatures or Signatures()).signer(
            folder.manifest_text(version),
            folder.signature(version),
            signed_identity(name, place.user),
            at=folder.record(version).installed,
        )
    manifest = folder.manifest(version)
    # Not by the link: the files must stay these while the program runs and another version takes its place.
    os.chdir(folder.files(version))
    environment = {**os.environ, "PYTHONPATH": str(MODULES), **manifest.environment}
    if place.system:
        environment[CLAIM_VARIABLE] = "system"
    # A program of the bundle's, with the arguments of its manifest: no shell reads them.
    os.execve(f"./{manifest.program}", manifest.exec, environment)  # noqa: S606
