"""What a pushed agent is made of: the manifest that is signed, and what may stand in it.

A bundle is a directory. Its manifest says everything about it: what the agent is called, how it is started, and of each
file path, size and SHA-256. Who has checked the manifest's signature can therefore check every byte that follows.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from guestmux_protocol.errors import MAX_SHOWN, GuestmuxError
from guestmux_protocol.registry import Arguments

MANIFEST = "MANIFEST"
SIGNATURE = "MANIFEST.sig"
"""The files of a bundle's directory that are about the bundle, and not of it."""

NAMESPACE = "guestmux-agent@guestmux.org"
"""What a signature says that it is for (ssh-keygen(1), -n): one made for mail or git is none."""

FORMAT: Final = 1
"""The only format of manifests so far."""

MAX_FILES = 2000
"""Files of a bundle: an agent with the libraries that it carries; an operating system it is not."""

MAX_BYTES = 128 << 20
"""Bytes of a bundle: a large static program. It lies in a user's home, twice while it is replaced."""

MAX_MANIFEST = 1 << 20
"""Bytes of a manifest: so many files with paths of some 300 characters."""

MAX_SIGNATURE = 16 * 1024
"""Bytes of a signature: an RSA key of 16,384 bits and a certificate take less."""

MAX_PATH = 512
"""Characters of a file's path: with the folders above it still far less than Linux's 4,096."""

MAX_PART = 255
"""Bytes of one name in a path (NAME_MAX)."""

MAX_DEPTH = 16
"""Names in a path."""

MAX_NAME = 128
"""Characters of an agent's name: a unit's name, of 255 at most, is made with it."""

MAX_WORDS = 64
"""Arguments that an agent is started with, and variables."""

MAX_WORD = 4096
"""Characters of one of them."""

OWN_PREFIX = "guestmux"
"""What the names of agents begin with that are no pushed ones."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z"
_VERSION = r"^[0-9][A-Za-z0-9.+~_-]*\Z"
_RULES = {
    "name": f"the name begins with a letter or digit, and has more of them and '._-' only, {MAX_NAME} at most",
    "version": "the version begins with a digit, and has digits, letters and '.+~_-' only, 64 at most",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PIECES = re.compile(r"[0-9]+|[a-z]+")
_END = (1, 0, "")

AgentName: TypeAlias = Annotated[str, Meta(max_length=MAX_NAME, pattern=_NAME)]
AgentVersion: TypeAlias = Annotated[str, Meta(max_length=64, pattern=_VERSION)]
Word: TypeAlias = Annotated[str, Meta(max_length=MAX_WORD)]

VersionKey = tuple[tuple[int, int, str], ...]


class BundleError(GuestmuxError):
    """A bundle is none, or not as it may be. The text says what and where."""


class BundleFile(Arguments, frozen=True):
    """One file.

    Attributes:
        path: below the bundle's directory, with `/`.
        size: bytes.
        sha256: of its content, in hexadecimal.
        executable: whether it is. It has no other mode, so that nothing setuid can come.
    """

    path: Annotated[str, Meta(min_length=1, max_length=MAX_PATH)]
    size: Annotated[int, Meta(ge=0, le=MAX_BYTES)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    executable: bool = False


class AgentManifest(Arguments, frozen=True):
    """A bundle's description.

    Attributes:
        guestmux_agent: the manifest's format.
        name: as the agent registers.
        version: as the agent registers it.
        exec: the program, one of the files, and its arguments.
        environment: variables for it.
        register_seconds: how long it may take to register.
        files: in the order in which their contents are sent.
    """

    guestmux_agent: Literal[1]
    name: AgentName
    version: AgentVersion
    exec: Annotated[list[Word], Meta(min_length=1, max_length=MAX_WORDS)]
    files: Annotated[list[BundleFile], Meta(min_length=1, max_length=MAX_FILES)]
    environment: Annotated[dict[str, Word], Meta(max_length=MAX_WORDS)] = {}
    register_seconds: Annotated[float, Meta(ge=1, le=600)] = 30.0

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def program(self) -> str:
        """The path of the file that is started."""
        return self.exec[0]


def parse_manifest(untrusted_text: bytes) -> AgentManifest:
    """Read a manifest.

    Args:
        untrusted_text: JSON, MAX_MANIFEST bytes at most.

    Raises:
        BundleError: it is no manifest, or of a bundle that must not be.
    """
    if len(untrusted_text) > MAX_MANIFEST:
        raise BundleError(f"the manifest has more than {MAX_MANIFEST >> 10} KiB")
    try:
        manifest = msgspec.json.decode(untrusted_text, type=AgentManifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"the manifest: {in_words(error)[:MAX_SHOWN]}") from error
    _check(manifest)
    return manifest


def in_words(error: Exception) -> str:
    """What is wrong with a manifest, or what one is made of, for people who write `v1.0` for a version."""
    text = str(error)
    if " got " in text:
        return text
    return next((rule for member, rule in _RULES.items() if text.endswith(f" - at `$.{member}`")), text)


def manifest_text(manifest: AgentManifest) -> bytes:
    """A manifest as it is signed: JSON for people to read, a member a line.

    Raises:
        BundleError: of a bundle that must not be.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    # Read again: bounds are looked at only there.
    parse_manifest(text)
    return text


def _check(manifest: AgentManifest) -> None:
    """Check what types alone do not say: paths, the program, what all files have together."""
    if manifest.name.startswith(OWN_PREFIX):
        raise BundleError(f"the name '{manifest.name}': those with '{OWN_PREFIX}' are guestmux's own")
    if manifest.size > MAX_BYTES:
        raise BundleError(f"the files have more than {MAX_BYTES >> 20} MiB")
    _check_paths(manifest)
    _check_program(manifest)
    for name, value in manifest.environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise BundleError(f"environment: '{name[:MAX_SHOWN]}' is no variable that a program can have")


def is_agent_name(text: str) -> bool:
    """Whether a pushed agent can have this name."""
    return len(text) <= MAX_NAME and re.match(_NAME, text) is not None and not text.startswith(OWN_PREFIX)


def version_key(version: str) -> VersionKey:
    """What orders versions: numbers by value, letters before the end (1.0rc1 < 1.0 < 1.0.1 < 1.0.10)."""
    pieces = _PIECES.findall(version.lower())
    return (*((2, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces), _END)


def signed_identity(name: str, user: str) -> str:
    """For whom a signature must be good: agent and user, as the principals in `agent-signers` match them."""
    return f"{name}@{user}"


def _check_paths(manifest: AgentManifest) -> None:
    paths: set[str] = set()
    folders: set[str] = set()
    for file in manifest.files:
        _check_path(file.path)
        if file.path in paths:
            raise BundleError(f"'{_shown(file.path)}' is there twice")
        paths.add(file.path)
        folders.update(_folders(file.path))
    if both := paths & folders:
        raise BundleError(f"'{_shown(min(both))}' is a file and a directory")


def _folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not path.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise BundleError(f"'{_shown(path)}' is no path inside of a bundle")
    if len(parts) > MAX_DEPTH or any(len(part.encode()) > MAX_PART for part in parts):
        raise BundleError(f"'{_shown(path)}' is too long a path")
    if path in (MANIFEST, SIGNATURE):
        raise BundleError(f"'{path}' cannot be a file of the bundle: it is about it")


def _check_program(manifest: AgentManifest) -> None:
    program = next((file for file in manifest.files if file.path == manifest.program), None)
    if program is None:
        raise BundleError(f"exec: '{_shown(manifest.program)}' is none of the bundle's files")
    if not program.executable:
        raise BundleError(f"exec: '{_shown(manifest.program)}' is not executable (chmod +x)")
    if any("\0" in word for word in manifest.exec):
        raise BundleError("exec: an argument has a NUL")


def _shown(path: str) -> str:
    return ascii(path)[1:-1][:MAX_SHOWN]
