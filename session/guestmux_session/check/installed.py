"""What starts an agent that is installed here: a user's own, one that a host pushed, or the stock one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from guestmux_protocol.agent_bundle import OWN_PREFIX
from guestmux_session.pushed.launch import MODULES
from guestmux_session.pushed.place import Place, system_place, user_place
from guestmux_session.pushed.store import AgentFolder

OWN_AGENTS = Path(".local/lib/guestmux-agents")
"""Below the user's home, as the unit guestmux-agent@.service has it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_STOCK = {OWN_PREFIX + "-session": [], OWN_PREFIX + "-system": ["--system"]}


def installed_command(name: str) -> list[str]:
    """What starts the agent of a name as its unit does; empty where there is none.

    Args:
        name: what it registers as. An agent of the user's own comes before one that was pushed.
    """
    if not _NAME.fullmatch(name):
        return []
    if name in _STOCK:
        return [*_session_program(), *_STOCK[name]]
    return _own(name) or _pushed(name)


def _own(name: str) -> list[str]:
    folder = Path.home() / OWN_AGENTS / name
    program = folder / "agent"
    if not (program.is_file() and os.access(program, os.X_OK)):
        return []
    modules = os.pathsep.join(filter(None, (str(MODULES), os.environ.get("PYTHONPATH"))))
    variables = [f"PYTHONPATH={modules}", "PYTHONDONTWRITEBYTECODE=1"]
    return ["env", f"--chdir={folder}", *variables, str(program)]


def _pushed(name: str) -> list[str]:
    for place, options in _places():
        try:
            if AgentFolder(place.store, name).current is not None:
                return [*_session_program(), "run-pushed-agent", *options, name]
        except OSError:
            # Another user's, or something else than a host's agent.
            continue
    return []


def _places() -> list[tuple[Place, list[str]]]:
    return [(user_place(), []), *([(system_place(), ["--system"])] if os.geteuid() == 0 else [])]


def _session_program() -> list[str]:
    """This very program, however it was started."""
    own = Path(sys.argv[0])
    if own.name == "guestmux-session" and os.access(own, os.X_OK):
        return [str(own)]
    return [sys.executable, "-m", "guestmux_session"]
