"""What is installed, as dpkg and rpm note it down, and what became of it between two looks."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from guestmux_protocol.events import PackageInfo, PackagesChanged, PackageUpgrade
from guestmux_protocol.installed_commands import Scope

Manager: TypeAlias = Literal["dpkg", "rpm", "flatpak", "snap", "desktop-files"]

MAX_SHOWN = 500
"""Packages of each kind of change that one event tells of: an upgrade of a whole desktop has more, and says so."""

MAX_HEADER_ENTRIES = 65_536
"""Entries of one rpm header; rpm itself takes no more (hdrchkTags in rpm's lib/header.c)."""

_ABSENT = frozenset({b"not-installed", b"config-files", b"half-installed"})
"""States in which a package's files are not there (dpkg(1))."""

_RPM_INTRODUCTION = struct.Struct(">II")
_RPM_ENTRY = struct.Struct(">IIII")
_RPM_NAME, _RPM_VERSION, _RPM_RELEASE, _RPM_EPOCH, _RPM_ARCHITECTURE = 1000, 1001, 1002, 1003, 1022
_RPM_INT32, _RPM_STRING = 4, 6


class Package(NamedTuple):
    """One installed version of a package."""

    name: str
    architecture: str
    version: str


def read_dpkg(lines: Iterable[bytes]) -> Iterator[Package]:
    """The installed packages in /var/lib/dpkg/status (deb822(5)); a stanza that lacks something is passed over.

    Args:
        lines: of the file.
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        if line.isspace():
            yield from _dpkg_package(fields)
            fields = {}
        elif line[:1] in b"PSAV":
            name, _, value = line.partition(b":")
            fields.setdefault(name, value.strip())
    yield from _dpkg_package(fields)


def _dpkg_package(fields: dict[bytes, bytes]) -> Iterator[Package]:
    state = fields.get(b"Status", b"").rpartition(b" ")[2]
    values = [fields.get(name, b"") for name in (b"Package", b"Architecture", b"Version")]
    if all(values) and state and state not in _ABSENT:
        name, architecture, version = (value.decode(errors="replace") for value in values)
        yield Package(name, architecture, version)


def read_rpm(header: bytes) -> Package | None:
    """The package that a header of rpm's database is about (header.c in rpm's tree); None where it is none.

    Keys that rpm trusts are in the database as packages `gpg-pubkey`, without an architecture: they are none.
    """
    tags = dict(_rpm_tags(header))
    name, version, release = (tags.get(tag) for tag in (_RPM_NAME, _RPM_VERSION, _RPM_RELEASE))
    architecture = tags.get(_RPM_ARCHITECTURE)
    if not (name and version and release and architecture):
        return None
    epoch = f"{tags[_RPM_EPOCH]}:" if _RPM_EPOCH in tags else ""
    return Package(name, architecture, f"{epoch}{version}-{release}")


def _rpm_tags(header: bytes) -> Iterator[tuple[int, str]]:
    """The tags that are one string or one number, as text."""
    if len(header) < _RPM_INTRODUCTION.size:
        return
    entries, _ = _RPM_INTRODUCTION.unpack_from(header)
    start = _RPM_INTRODUCTION.size + entries * _RPM_ENTRY.size
    if entries > MAX_HEADER_ENTRIES or start > len(header):
        return
    for number in range(entries):
        tag, kind, offset, _ = _RPM_ENTRY.unpack_from(
            header, _RPM_INTRODUCTION.size + number * _RPM_ENTRY.size
        )
        value = header[start + offset :]
        if kind == _RPM_STRING:
            yield tag, value.partition(b"\0")[0].decode(errors="replace")
        elif kind == _RPM_INT32 and len(value) >= 4:
            yield tag, str(int.from_bytes(value[:4], "big"))


def changes(
    manager: Manager,
    before: Iterable[Package],
    after: Iterable[Package],
    *,
    scope: Scope = "system",
    limit: int = MAX_SHOWN,
) -> PackagesChanged | None:
    """The event that tells what happened between two looks; None for nothing.

    One version that went and one that came of the same package are an upgrade, or a downgrade.

    Args:
        manager: who did it.
        before: what there was.
        after: what there is now.
        scope: for whom it is.
        limit: packages of each kind of change that are told of.
    """
    old, new = set(before), set(after)
    gone, come = sorted(old - new), sorted(new - old)
    if not gone and not come:
        return None
    alone = _alone(gone) & _alone(come)
    to = {package[:2]: package.version for package in come}
    upgraded = [
        PackageUpgrade(name=name, architecture=architecture, before=version, after=to[name, architecture])
        for name, architecture, version in gone
        if (name, architecture) in alone
    ]
    installed = [_info(package) for package in come if package[:2] not in alone]
    removed = [_info(package) for package in gone if package[:2] not in alone]
    return PackagesChanged(
        manager=manager,
        scope=scope,
        installed=installed[:limit],
        removed=removed[:limit],
        upgraded=upgraded[:limit],
        truncated=max(len(installed), len(removed), len(upgraded)) > limit,
    )


def _alone(packages: Iterable[Package]) -> set[tuple[str, str]]:
    """Names and architectures of which there is one version; of kernels there are several."""
    count = Counter((package.name, package.architecture) for package in packages)
    return {key for key, number in count.items() if number == 1}


def _info(package: Package) -> PackageInfo:
    return PackageInfo(name=package.name, architecture=package.architecture, version=package.version)
