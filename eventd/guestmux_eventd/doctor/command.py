"""`--doctor`: from the options to the exit status."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from guestmux_eventd.config import Config
from guestmux_eventd.doctor.examination import check_config, examine
from guestmux_eventd.doctor.machine import Machine
from guestmux_protocol.findings import Finding, as_json, as_lines, exit_status, note, problem
from guestmux_protocol.json_text import encode


def run_doctor(config: Config | str, path: str, bus: str, *, json: bool) -> int:
    """Look at everything, and print it.

    Args:
        config: the configuration, or why there is none.
        path: its file.
        bus: a D-Bus address, or `system`.
        json: print one line of JSON.

    Returns:
        the exit status: 1 where there are problems.
    """
    usable = config if isinstance(config, Config) else None
    findings = anyio.run(examine, Machine(), usable, _judge(config, path), bus)
    lines = [encode(as_json(findings)).decode("ascii")] if json else as_lines(findings)
    for line in lines:
        print(line)
    return exit_status(findings)


def _judge(config: Config | str, path: str) -> Finding:
    if isinstance(config, Config):
        return check_config(config, path, exists=Path(path).exists())
    if os.geteuid() and not os.access(path, os.R_OK):
        return note("configuration", f"{config}; only root can read it", "run this as root")
    return problem(
        "configuration", config, "correct it; man eventd.toml; then systemctl restart guestmux-eventd"
    )
