"""Puts a bundle's files into a fresh directory: those of the manifest, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

from guestmux_protocol.agent_bundle import AgentManifest, BundleFile
from guestmux_session.errors import CommandError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Unpacker:
    """Takes the files' contents one behind the other, as the manifest has them; blocks.

    There is no archive to parse: where a file begins, and what it is called, is said by the manifest alone, which was
    checked before.

    Args:
        folder: where, empty and nobody else's.
        manifest: what comes.
    """

    def __init__(self, folder: Path, manifest: AgentManifest) -> None:
        self._folder = folder
        self._name = manifest.name
        self._files = self._opened(manifest.files)
        self._file: _OpenFile | None = None

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            CommandError: a file is another than the manifest's, or there are more bytes than it has.
            OSError: it cannot be written.
        """
        rest = memoryview(data)
        while rest:
            file = self._next()
            if file is None:
                raise CommandError(f"more came than the manifest of '{self._name}' has")
            rest = file.write(rest)

    def finish(self) -> None:
        """Check that everything is there, and have it on the disk.

        Raises:
            CommandError: something is missing.
            OSError: it cannot be written.
        """
        if (file := self._next()) is not None:
            raise CommandError(
                f"'{file.path}' is not whole: {file.left} bytes less came than the manifest has"
            )
        for folder, _, _ in os.walk(self._folder):
            _sync(folder)

    def close(self) -> None:
        """Leave it as it is."""
        self._files.close()

    def _next(self) -> _OpenFile | None:
        """The file that the next bytes are of; None where all are whole."""
        if self._file is None or not self._file.left:
            self._file = next(self._files, None)
        return self._file

    def _opened(self, files: list[BundleFile]) -> Generator[_OpenFile, None, None]:
        """Each file that has bytes, when the one before is whole."""
        for file in files:
            path = self._folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            opened = _OpenFile(path, file)
            try:
                if file.size:
                    yield opened
                opened.finish()
            finally:
                opened.close()


class _OpenFile:
    """A file that comes in.

    Attributes:
        path: in the bundle.
        left: bytes that are to come.
    """

    def __init__(self, path: Path, file: BundleFile) -> None:
        # OpenSSL takes 3.5 MB, which no agent is to hold for nothing.
        import hashlib

        self.path = file.path
        self.left = file.size
        self._wanted = file.sha256
        self._hash = hashlib.sha256()
        self._descriptor = os.open(path, _NEW, 0o755 if file.executable else 0o644)

    def write(self, data: memoryview) -> memoryview:
        """Take what is of this file; gives the rest."""
        count = os.write(self._descriptor, data[: self.left])
        self._hash.update(data[:count])
        self.left -= count
        return data[count:]

    def finish(self) -> None:
        """It is whole."""
        if self._hash.hexdigest() != self._wanted:
            raise CommandError(f"'{self.path}' is not the file that the manifest names: it was changed")
        os.fsync(self._descriptor)

    def close(self) -> None:
        """No more comes."""
        os.close(self._descriptor)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
