"""An agent's directory on this host: what `agent.toml` says, the manifest made of it, and its signature."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from guestmux.copying import LocalFileError
from guestmux_protocol.agent_bundle import (
    FORMAT,
    MANIFEST,
    MAX_FILES,
    NAMESPACE,
    SIGNATURE,
    AgentManifest,
    AgentName,
    AgentVersion,
    BundleError,
    BundleFile,
    Word,
    in_words,
    manifest_text,
    parse_manifest,
)
from guestmux_protocol.registry import Arguments

SETTINGS = "agent.toml"

LEFT_OUT = frozenset({"__pycache__", ".git"})
"""Directories that are of no use in a guest: made anew there, or about the source."""

SIGN_SECONDS = 600.0
"""Whoever has the key in hardware has to find it, and touch it."""


class AgentSettings(Arguments, frozen=True):
    """agent.toml.

    Attributes:
        name: as the agent registers.
        version: as the agent registers it.
        exec: the program, by its path in the directory, and its arguments.
        environment: variables for it.
        register_seconds: how long it may take to register.
    """

    name: AgentName
    version: AgentVersion
    exec: Annotated[list[Word], Meta(min_length=1)]
    environment: dict[str, Word] = {}
    register_seconds: float = 30.0


@dataclass(frozen=True)
class Bundle:
    """A directory that can be pushed.

    Attributes:
        directory: where it is.
        manifest: what it is.
        text: that, as it was signed.
        signature: empty where it is not signed.
    """

    directory: Path
    manifest: AgentManifest
    text: bytes
    signature: str = ""


def read_bundle(directory: str | os.PathLike[str]) -> Bundle:
    """Read a directory; blocks.

    Raises:
        LocalFileError: a file cannot be read.
        BundleError: it is no bundle, or has changed since it was signed.
    """
    path = Path(directory)
    manifest = _described(path)
    signature, signed = _optional(path / SIGNATURE), _optional(path / MANIFEST)
    if not signature:
        return Bundle(path, manifest, manifest_text(manifest))
    if parse_manifest(signed) != manifest:
        raise BundleError(f"{path} has changed since it was signed; sign it again: guestmux agent sign")
    return Bundle(path, manifest, signed, signature.decode(errors="replace"))


def sign_bundle(directory: str | os.PathLike[str], key: str | os.PathLike[str]) -> Bundle:
    """Write a directory's manifest, and have ssh-keygen(1) sign it; blocks.

    Args:
        directory: with `agent.toml`.
        key: a private key, or a public one whose private half ssh-agent(1) has.

    Raises:
        LocalFileError: a file cannot be read or written, or the key does not sign.
        BundleError: it is no bundle.
    """
    path = Path(directory)
    text = manifest_text(_described(path))
    with _translated(path):
        (path / SIGNATURE).unlink(missing_ok=True)
        (path / MANIFEST).write_bytes(text)
    _sign(path / MANIFEST, key)
    return read_bundle(path)


def _sign(manifest: Path, key: str | os.PathLike[str]) -> None:
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", os.fspath(key), os.fspath(manifest)]
    try:
        # Its terminal is ours: it may have to ask for a passphrase.
        done = subprocess.run(
            command,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=SIGN_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise LocalFileError("ssh-keygen is missing: install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        raise LocalFileError(f"{key}: no signature within {SIGN_SECONDS:g} s") from error
    if done.returncode:
        raise LocalFileError(f"{key}: {done.stderr.strip() or f'ssh-keygen ended with {done.returncode}'}")


def _described(path: Path) -> AgentManifest:
    settings = _settings(path / SETTINGS)
    return AgentManifest(
        guestmux_agent=FORMAT,
        name=settings.name,
        version=settings.version,
        exec=settings.exec,
        environment=settings.environment,
        register_seconds=settings.register_seconds,
        files=[_file(path, name) for name in _names(path)],
    )


def _settings(path: Path) -> AgentSettings:
    with _translated(path):
        text = path.read_bytes()
    try:
        return msgspec.convert(tomllib.loads(text.decode()), AgentSettings)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BundleError(f"{path}: {in_words(error)}") from error


def _names(path: Path) -> list[str]:
    """The files below a directory, by their paths in it, sorted.

    Raises:
        BundleError: there is something else than files and directories, or too much.
    """
    names: list[str] = []
    with _translated(path):
        for folder, folders, files in os.walk(path, onerror=_raise):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            for name in (*folders, *files):
                _check_kind(Path(folder, name))
            names += (str(Path(folder, name).relative_to(path)) for name in files)
            if len(names) > MAX_FILES:
                raise BundleError(f"{path}: more than {MAX_FILES} files")
    return sorted(name for name in names if name not in (MANIFEST, SIGNATURE))


def _check_kind(path: Path) -> None:
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BundleError(f"{path}: neither a file nor a directory; a bundle has no links")


def _file(path: Path, name: str) -> BundleFile:
    with _translated(path / name), (path / name).open("rb") as file:
        status = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BundleFile(path=name, size=status.st_size, sha256=digest, executable=bool(status.st_mode & 0o100))


def _optional(path: Path) -> bytes:
    """A file's content; nothing where it is not there."""
    with _translated(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{error.filename or path}: {error.strerror or error}") from error
