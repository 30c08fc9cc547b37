"""The kernel's table of unix sockets, /proc/net/unix (proc_net(5)): who listens, is connected or waits at a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

UNIX_TABLE: Final = Path("/proc/net/unix")

_LISTENING = 0x10000
"""__SO_ACCEPTCON, in the flags."""

_WAITING, _CONNECTED = 2, 3
"""SS_CONNECTING: connected, but not accepted yet. SS_CONNECTED: accepted (net/unix/af_unix.c, unix_seq_show)."""

_ROW = re.compile(r"\S+: \S+ \S+ (?P<flags>\S+) \S+ (?P<state>\S+) +(?P<inode>\d+) (?P<path>.+)")


class UnixSocket(Struct, frozen=True):
    """The server's end of a socket that has a path.

    Args:
        inode: as in the link of its descriptor, `socket:[inode]`; 0 while nobody accepted it.
        path: as it was bound.
        listening: whether connections are taken here.
        connected: whether it is a connection that was accepted.
        waiting: whether it is a connection that waits to be accepted.
    """

    inode: int
    path: str
    listening: bool
    connected: bool
    waiting: bool


def sockets_at(path: str, table: Path = UNIX_TABLE) -> list[UnixSocket]:
    """The sockets bound at a path, in the network namespace of the table; none where it cannot be read."""
    try:
        text = table.read_text(errors="surrogateescape")
    except OSError:
        return []
    return [found for found in _sockets(text) if found.path == path]


def _sockets(text: str) -> Iterator[UnixSocket]:
    for line in text.split("\n"):
        if row := _ROW.fullmatch(line):
            state = int(row["state"], 16)
            listening = bool(int(row["flags"], 16) & _LISTENING)
            yield UnixSocket(
                int(row["inode"]), row["path"], listening, state == _CONNECTED, state == _WAITING
            )
