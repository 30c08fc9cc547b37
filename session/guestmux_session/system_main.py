"""guestmux-session --system: its command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from guestmux_session.pushed.place import system_place
from guestmux_session.pushed.pushed_agents import PushedAgents
from guestmux_session.system_agent import SystemAgent
from guestmux_session.system_config import ConfigError, SystemConfig, check_commands, read_system_config
from guestmux_session.system_path import DEFAULT_PATH
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from guestmux_session.verbs.freeze_state import STATE_NAME
from guestmux_session.verbs.sets import command_names
from guestmux_session.verbs.system_set import system_verbs
from guestmux_transport.logs import configure_logging

STATE_FOLDER = "/run/guestmux-system"
"""Where it remembers that file systems are frozen, as systemd.exec(5) says by RUNTIME_DIRECTORY: in memory, so that it
is itself never frozen."""

EXIT_PERMISSION = 77
"""EX_NOPERM of sysexits.h."""

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: systemd shows it as CONFIG, and need not restart."""


def system_main(options: argparse.Namespace) -> int:
    """Run the system agent, or check its configuration.

    Args:
        options: `config`, `check_config`, `bus` and `log_level`; the last two override the configuration.

    Returns:
        The exit status.
    """
    path = Path(options.config or DEFAULT_PATH)
    try:
        config = read_system_config(path)
        pushed = PushedAgents(system_place(), config.pushed_agents)
        parts = [*system_verbs(_freeze(config)), pushed]
        check_commands(path, config, command_names(parts))
    except ConfigError as error:
        return _refuse(str(error), EXIT_CONFIG)
    if options.check_config:
        _show(config, parts)
        return 0
    if os.geteuid() != 0:
        return _refuse("--system needs root", EXIT_PERMISSION)
    configure_logging(options.log_level or config.log_level)
    # systemd makes it; by hand it may be missing.
    _state_folder().mkdir(mode=0o700, exist_ok=True)
    SystemAgent(parts, permits=config.permits, bus=options.bus or config.bus).main()
    return 0


def _freeze(config: SystemConfig) -> Freeze:
    hooks = FreezeHooks([Path(path) for path in config.fsfreeze_hooks], seconds=config.fsfreeze_hook_timeout)
    return Freeze(_state_folder() / STATE_NAME, hooks)


def _state_folder() -> Path:
    return Path(os.environ.get("RUNTIME_DIRECTORY", STATE_FOLDER))


def _show(config: SystemConfig, parts: list[object]) -> None:
    for name in sorted(command_names(parts)):
        print(f"{'on ' if config.permits(name) else 'off'} {name}")


def _refuse(text: str, status: int) -> int:
    print(f"guestmux-session: {text}", file=sys.stderr)
    return status
