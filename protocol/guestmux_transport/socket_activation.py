"""Descriptors that systemd opened for us, by their names (sd_listen_fds_with_names(3))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

FIRST_FD: Final = 3
"""SD_LISTEN_FDS_START in sd_listen_fds(3)."""


def passed_fds(environment: Mapping[str, str], process: int | None = None) -> list[tuple[str, int]]:
    """The descriptors that this process was started with, each with its name; FileDescriptorName= of its unit.

    Args:
        environment: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are looked at, and left as they are.
        process: whose pid LISTEN_PID must be; this one by default. What it inherited unasked is not meant for it.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(process or os.getpid()) or not count.isdecimal():
        return []
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    return [(name, FIRST_FD + number) for number, name in enumerate(names[: int(count)])]
