"""Where pushed agents lie: a directory for each, with its versions side by side, and a link to the one that runs.

NAME/1.0/MANIFEST, MANIFEST.sig, record.json, files/…
NAME/current -> 1.0
NAME/.trial         while a version is tried: the one before it
.locks/NAME
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from guestmux_protocol.agent_bundle import (
    MANIFEST,
    MAX_MANIFEST,
    SIGNATURE,
    AgentManifest,
    BundleError,
    is_agent_name,
    parse_manifest,
)
from guestmux_session.errors import CommandError

FILES = "files"
"""The folder with the agent's own files."""

_RECORD = "record.json"
_CURRENT = "current"
_TRIAL = ".trial"
_NEW = ".new-"
_LOCKS = ".locks"
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = (errno.ENOENT, errno.EINVAL)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Record(msgspec.Struct, frozen=True):
    """What is noted of an installation.

    Attributes:
        installed: when, in seconds since the epoch.
        signer: the key that signed it; empty where none did.
    """

    installed: float
    signer: str = ""


class AgentFolder:
    """One agent's directory; all that it does blocks, and raises OSError.

    Args:
        root: the store's directory.
        name: the agent's.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self._root = root
        self._path = root / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one that changes it, in this process or another, for the block.

        Raises:
            CommandError: somebody else is at it.
        """
        locks = self._root / _LOCKS
        # Manifests have variables, which may be secrets.
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        locks.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(locks / self.name, _LOCK, 0o600)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    @property
    def current(self) -> str | None:
        """The version that runs; None where the agent is not installed."""
        try:
            return os.readlink(self._path / _CURRENT)  # noqa: PTH115 - a name, not a path
        except OSError as error:
            if error.errno in _NO_LINK:
                return None
            raise

    @property
    def former(self) -> str | None:
        """While a version is tried, the one before it, empty where there is none; None while none is tried."""
        try:
            return _read(self._path / _TRIAL).decode(errors="replace")
        except FileNotFoundError:
            return None

    def files(self, version: str) -> Path:
        """The folder with an agent's files."""
        return self._path / version / FILES

    def manifest_text(self, version: str) -> bytes:
        """A version's manifest."""
        return _read(self._path / version / MANIFEST)

    def manifest(self, version: str) -> AgentManifest:
        """The same, read.

        Raises:
            CommandError: somebody has changed it.
        """
        try:
            return parse_manifest(self.manifest_text(version))
        except BundleError as error:
            raise CommandError(f"the installed '{self.name}': {error}") from error

    def signature(self, version: str) -> str:
        """A version's signature; empty where it has none."""
        return _read(self._path / version / SIGNATURE).decode(errors="replace")

    def record(self, version: str) -> Record:
        """What was noted of its installation; little where somebody has changed it."""
        try:
            return msgspec.json.decode(_read(self._path / version / _RECORD), type=Record)
        except (OSError, msgspec.MsgspecError):
            return Record(0.0)

    def begin(self) -> Path:
        """A new folder, for what comes. The files go into its folder FILES."""
        self._path.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = self._path / f"{_NEW}{os.urandom(8).hex()}"
        new.mkdir(mode=0o700)
        (new / FILES).mkdir()
        return new

    @property
    def settled(self) -> bool:
        """Whether nothing was left half-way. To look writes nothing, which file systems that are frozen take."""
        return self.former is None and self.current is not None and not any(self._unfinished())

    def sweep(self) -> None:
        """Remove what came in part, and all of an agent that has never run."""
        for left in self._unfinished():
            # A link that was to be the current one's.
            left.unlink() if left.is_symlink() else shutil.rmtree(left)
        if self.current is None:
            self.remove()

    def adopt(self, new: Path, version: str, text: bytes, signature: str, signer: str) -> None:
        """Make a version of what has come; whole on the disk, or not at all."""
        _write(new / MANIFEST, text)
        self._note(new, signature, signer)
        new.chmod(0o755)
        _sync(new)
        target = self._path / version
        if target.exists():
            # Left by an installation that ended half-way: a version that runs is never replaced.
            shutil.rmtree(target)
        new.rename(target)
        _sync(self._path)

    def sign_anew(self, version: str, signature: str, signer: str) -> None:
        """The same version was signed once more, by another key perhaps."""
        self._note(self._path / version, signature, signer)

    def begin_trial(self, version: str) -> None:
        """Let a version be the current one, until it is known whether it stays."""
        _write(self._path / _TRIAL, (self.current or "").encode())
        _sync(self._path)
        self._set_current(version)

    def keep(self) -> None:
        """The current version stays, and the others go."""
        (self._path / _TRIAL).unlink()
        _sync(self._path)
        self._remove_others()

    def put_back(self) -> bool:
        """Make the version before the trial the current one; the trial goes on until `keep`. Whether it is there."""
        former = self.former or ""
        if not former or not (self._path / former).is_dir():
            return False
        self._set_current(former)
        return True

    def remove(self) -> None:
        """Remove the agent."""
        if self._path.exists():
            shutil.rmtree(self._path)

    def _note(self, version: Path, signature: str, signer: str) -> None:
        _write(version / _RECORD, msgspec.json.encode(Record(time.time(), signer)))
        _write(version / SIGNATURE, signature.encode())

    def _unfinished(self) -> Iterator[Path]:
        return self._path.glob(f"{_NEW}*")

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"'{self.name}' is being installed or removed by somebody else") from error

    def _set_current(self, version: str) -> None:
        link = self._path / f"{_NEW}{_CURRENT}"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        link.replace(self._path / _CURRENT)
        _sync(self._path)

    def _remove_others(self) -> None:
        current = self.current
        for path in self._path.iterdir():
            if path.name not in (current, _CURRENT):
                # It runs already: what cannot be removed now is left, and tried again with the next version.
                with suppress(OSError):
                    shutil.rmtree(path)


def agent_names(root: Path) -> list[str]:
    """The agents of a store, sorted. What else its user has put there is none."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if is_agent_name(path.name) and path.is_dir())


def _read(path: Path) -> bytes:
    """Read a file, no further than a manifest may be long. What its user has put in its place is not waited for."""
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        return file.read(MAX_MANIFEST + 1)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
