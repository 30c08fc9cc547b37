"""Which verbs a session's agent serves, and what all agents do with theirs."""

from __future__ import annotations

from collections.abc import Iterable

from guestmux_session.declarations import commands_of
from guestmux_session.verbs.checksums import Checksums
from guestmux_session.verbs.connections import Connections
from guestmux_session.verbs.disks import Disks
from guestmux_session.verbs.downloads import Downloads
from guestmux_session.verbs.extents import Extents
from guestmux_session.verbs.facts import Facts
from guestmux_session.verbs.file_changes import FileChanges
from guestmux_session.verbs.file_facts import FileFacts
from guestmux_session.verbs.files import Files
from guestmux_session.verbs.filesystems import Filesystems
from guestmux_session.verbs.network import Network
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import Surroundings
from guestmux_session.verbs.uploads import Uploads

_CLOSED = Files | FileChanges | Checksums | Downloads | Uploads | Processes
"""What has descriptors or threads to let go of."""


def session_verbs(surroundings: Surroundings) -> list[object]:
    """What a session agent serves beside the session itself: what its user can do, and what the machine is like.

    Args:
        surroundings: where the processes live that a host starts.
    """
    return [*_files(), Processes(surroundings), Connections(), Facts(), Network(), Filesystems(), Disks()]


def _files() -> list[object]:
    """What has to do with files."""
    return [Files(), FileFacts(), FileChanges(), Extents(), Checksums(), Downloads(), Uploads()]


def command_names(parts: Iterable[object]) -> list[str]:
    """The commands that some parts have."""
    return [name for part in parts for name in commands_of(part)]


def forget_all(parts: Iterable[object]) -> None:
    """The eventd that knew the numbers of files and processes is gone: nobody else can name them, or let them go."""
    for part in parts:
        if isinstance(part, Files):
            part.close_all()
        elif isinstance(part, Processes):
            part.forget_all()


def close_all(parts: Iterable[object]) -> None:
    """The agent is stopping: let go of the files and processes that hosts left open."""
    for part in parts:
        if isinstance(part, _CLOSED):
            part.close_all()
