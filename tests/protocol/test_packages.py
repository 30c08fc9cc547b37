"""dpkg's status file, rpm's headers, and what happened between two looks."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.packages import MAX_SHOWN, Package, changes, read_dpkg, read_rpm

STATUS = b"""\
Package: adduser
Status: install ok installed
Architecture: all
Version: 3.134
Description: add users
 Version: 9
 .
 Package: none

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
\t
Package: lacks-a-version
Status: install ok installed
Architecture: amd64

Package: zlib1g
Status: hold ok triggers-pending
Architecture: i386
Version: 1:1.2
Version: 2
"""

ONE, TWO = Package("a", "all", "1"), Package("a", "all", "2")


def test_a_status_file_is_read() -> None:
    assert list(read_dpkg(STATUS.splitlines(keepends=True))) == [
        Package("adduser", "all", "3.134"),
        Package("zlib1g", "i386", "1:1.2"),
    ]
    assert list(read_dpkg([])) == []


@given(st.lists(st.binary(max_size=30)))
def test_any_lines_are_survived(lines: list[bytes]) -> None:
    list(read_dpkg(lines))


def header(*tags: tuple[int, int, bytes]) -> bytes:
    """An rpm header as the database has it."""
    entries, data = b"", b""
    for tag, kind, value in tags:
        entries += struct.pack(">IIII", tag, kind, len(data), 1)
        data += value
    return struct.pack(">II", len(tags), len(data)) + entries + data


def text(tag: int, value: str) -> tuple[int, int, bytes]:
    return tag, 6, value.encode() + b"\0"


NAME, VERSION, RELEASE, ARCHITECTURE = (
    text(1000, "bash"),
    text(1001, "5.2"),
    text(1002, "3.fc40"),
    text(1022, "x86_64"),
)


def test_an_rpm_header_is_read() -> None:
    assert read_rpm(header(NAME, VERSION, RELEASE, ARCHITECTURE)) == Package("bash", "x86_64", "5.2-3.fc40")
    epoch = (1003, 4, b"\0\0\0\7")
    assert read_rpm(header(epoch, NAME, VERSION, RELEASE, ARCHITECTURE)) == Package(
        "bash", "x86_64", "7:5.2-3.fc40"
    )


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * 7,
        header(NAME, VERSION, RELEASE),
        header(NAME, VERSION, RELEASE, text(1022, "")),
        struct.pack(">II", 1 << 31, 0),
        struct.pack(">II", 65_537, 0) + bytes(65_537 * 16),
        struct.pack(">II", 1, 0),
        header(VERSION, RELEASE, ARCHITECTURE, (1003, 4, b"\0"), (1000, 6, b"")),
    ],
)
def test_what_is_no_package_is_passed_over(broken: bytes) -> None:
    assert read_rpm(broken) is None


@given(st.binary(max_size=200), st.integers(0, 20))
def test_any_header_is_survived(data: bytes, entries: int) -> None:
    read_rpm(struct.pack(">II", entries, 0) + data)


def told(before: Sequence[Package], after: Sequence[Package]) -> object:
    return msgspec.to_builtins(changes("dpkg", before, after))


def test_nothing_changed() -> None:
    assert changes("dpkg", [ONE, TWO], [TWO, ONE]) is None


def test_what_came_went_and_was_replaced() -> None:
    before = [ONE, Package("b", "all", "1"), Package("kernel", "x", "1"), Package("kernel", "x", "2")]
    after = [TWO, Package("c", "all", "1"), Package("kernel", "x", "2"), Package("kernel", "x", "3")]
    assert told(before, after) == {
        "manager": "dpkg",
        "scope": "system",
        "installed": [{"name": "c", "architecture": "all", "version": "1"}],
        "removed": [{"name": "b", "architecture": "all", "version": "1"}],
        "upgraded": [
            {"name": "a", "architecture": "all", "from": "1", "to": "2"},
            {"name": "kernel", "architecture": "x", "from": "1", "to": "3"},
        ],
        "truncated": False,
    }


def test_several_versions_at_once_are_no_upgrade() -> None:
    event = changes("rpm", [], [ONE, TWO])
    assert event is not None
    assert [package.version for package in event.installed] == ["1", "2"]
    assert event.upgraded == []


def test_an_event_is_bounded() -> None:
    many = [Package(f"p{number}", "all", "1") for number in range(MAX_SHOWN + 1)]
    event = changes("dpkg", [], many)
    assert event is not None
    assert (len(event.installed), event.truncated) == (MAX_SHOWN, True)
    few = changes("flatpak", [], many, scope="user", limit=2)
    assert few is not None
    assert (few.scope, len(few.installed), few.truncated) == ("user", 2, True)
    exact = changes("dpkg", many[1:], [])
    assert exact is not None
    assert (len(exact.removed), exact.truncated) == (MAX_SHOWN, False)
