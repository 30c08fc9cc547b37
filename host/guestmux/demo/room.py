"""Where the demo's guest lives: a folder, and the users in it.

As root the guest's users are really three: in mount namespaces of their own, where /etc/passwd has them. Otherwise
everything runs as whoever started the demo.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guestmux.demo.children import dies_with_parent
from guestmux_transport.bus_library import LIBRARY_VARIABLE

PROBE_SECONDS: Final = 20.0
"""For one start of Python under another user."""

PROBE: Final = (
    "import os, pwd, guestmux_session; os.listdir('{home}'); print(pwd.getpwuid(os.getuid()).pw_name)"
)


_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", LIBRARY_VARIABLE)


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the demo's guest."""

    name: str
    uid: int


# Above what distributions give to people and services, below nobody.
EVENTD: Final = Person("guestmux", 60000)
ALICE: Final = Person("alice", 60001)
BOB: Final = Person("bob", 60002)
PEOPLE: Final = (EVENTD, ALICE, BOB)


class Room:
    """The folder and its users.

    Attributes:
        folder: everything that the demo writes is below it.
        why_together: why all users are one; empty where they are apart.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.why_together = ""
        self._script = _script(folder)
        folder.chmod(0o755)
        for name in ("logs", *(person.name for person in PEOPLE)):
            (folder / name).mkdir()
        _write_passwd(folder)
        self.why_together = self._probe()

    def home(self, person: Person) -> Path:
        """A user's own folder."""
        return self.folder / person.name

    def uid(self, person: Person) -> int:
        """The uid that a user really has."""
        return os.getuid() if self.why_together else person.uid

    def command(self, words: Sequence[str], person: Person | None = None) -> list[str]:
        """What to run to have a command run in the room.

        Args:
            words: the command.
            person: whose process it is; None: that of whoever started the demo.
        """
        if self.why_together:
            return [*dies_with_parent(), *words]
        identity = (f"--reuid={person.uid}", f"--regid={person.uid}", "--clear-groups") if person else ()
        enter = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", self._script, "room")
        return [*enter, "setpriv", *identity, "--pdeathsig", "TERM", "--", *words]

    def environment(self, person: Person) -> dict[str, str]:
        """The variables of a user's processes."""
        home = str(self.home(person))
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        own = {"HOME": home, "USER": person.name, "LOGNAME": person.name, "XDG_RUNTIME_DIR": home}
        return {**kept, **own, "PYTHONDONTWRITEBYTECODE": "1"}

    def _probe(self) -> str:
        """Try to be alice; returns why that cannot be."""
        if os.getuid() != 0:
            return "two users need root"
        for person in PEOPLE:
            os.chown(self.home(person), person.uid, person.uid)
            self.home(person).chmod(0o700)
        command = self.command([sys.executable, "-c", PROBE.format(home=self.home(ALICE))], ALICE)
        try:
            tried = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=PROBE_SECONDS,
                check=False,
                env=self.environment(ALICE),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if tried.stdout.strip() == ALICE.name:
            return ""
        return (tried.stderr.strip().splitlines() or ["the users of a namespace are not seen"])[-1]


@contextmanager
def room() -> Iterator[Room]:
    """A room for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="guestmux-demo-") as folder:
        yield Room(Path(folder))


def _write_passwd(folder: Path) -> None:
    lines = [f"{each.name}:x:{each.uid}:{each.uid}::{folder / each.name}:/bin/sh\n" for each in PEOPLE]
    # Ours come first: the first line of a name counts.
    (folder / "passwd").write_text("".join(lines) + Path("/etc/passwd").read_text())


def _script(folder: Path) -> str:
    """The shell lines that make the room in a new mount namespace, then become the command."""
    lines = [f"mount --bind {shlex.quote(str(folder / 'passwd'))} /etc/passwd"]
    for closed, needed in _closed_folders(_python_folders()).items():
        lines += _reopened(folder, closed, needed)
    return "\n".join([*lines, 'exec "$@"'])


def _reopened(folder: Path, closed: Path, needed: Sequence[Path]) -> Iterator[str]:
    """Put an open folder in place of a closed one, with only what is needed in it.

    The files themselves stay as they are; only processes of the namespace see them there.
    """
    kept = [
        (shlex.quote(str(folder / f"kept{number}")), shlex.quote(str(path)))
        for number, path in enumerate(needed)
    ]
    for place, path in kept:
        yield f"mkdir -p {place}; mount --bind {path} {place}"
    yield f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(closed))}"
    for place, path in kept:
        yield f"mkdir -p {path}; mount --bind {place} {path}"


def _python_folders() -> list[Path]:
    """What Python has to read to run this code."""
    named = [sys.base_prefix, sys.prefix, *sys.path]
    return [Path(name).resolve() for name in named if name and Path(name).is_dir()]


def _closed_folders(needed: Sequence[Path]) -> dict[Path, list[Path]]:
    """Folders that other users may not pass through, each with what is needed below it."""
    closed: dict[Path, list[Path]] = {}
    for path in sorted(set(needed)):
        above = next(
            (each for each in reversed([path, *path.parents]) if not each.stat().st_mode & 0o001), None
        )
        if above is None:
            continue
        inside = closed.setdefault(above, [])
        if not any(path.is_relative_to(other) for other in inside):
            inside.append(path)
    return closed
