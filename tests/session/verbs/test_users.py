"""Users by utmp, in both layouts that glibc has."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from guestmux_protocol.commands import GuestGetUsers, GuestUser
from guestmux_session.verbs.users import Users

SHORT = struct.Struct("=hxxi32s4s32s256shhiii16s20s")
LONG = struct.Struct("=hxxi32s4s32s256shhqqq16s20sxxxx")

BOOT, LOGIN, USER, DEAD = 2, 6, 7, 8


def record(layout: struct.Struct, kind: int, user: bytes, seconds: int, microseconds: int = 0) -> bytes:
    return layout.pack(kind, 1, b"tty1", b"1", user, b"", 0, 0, 1, seconds, microseconds, b"", b"")


def users(path: Path, content: bytes) -> list[GuestUser]:
    path.write_bytes(content)
    return Users(path).users(GuestGetUsers())


@pytest.mark.parametrize("layout", [SHORT, LONG])
def test_each_user_has_the_earliest_login(tmp_path: Path, layout: struct.Struct) -> None:
    records = [
        record(layout, BOOT, b"reboot", 1_600_000_000),
        record(layout, USER, b"alice", 1_700_000_200),
        record(layout, USER, b"bob", 1_700_000_150, 500_000),
        record(layout, USER, b"alice", 1_700_000_100),
        record(layout, DEAD, b"carol", 1_700_000_000),
        record(layout, LOGIN, b"LOGIN", 1_700_000_000),
    ]
    assert users(tmp_path / "utmp", b"".join(records)) == [
        GuestUser(user="alice", login_time=1_700_000_100.0),
        GuestUser(user="bob", login_time=1_700_000_150.5),
    ]


def test_a_file_that_both_layouts_fill_is_read_in_the_one_that_makes_sense(tmp_path: Path) -> None:
    long_in_short = record(LONG, USER, b"alice", 5) * 24
    short_in_long = record(SHORT, USER, b"alice", 5) * 25
    assert len(long_in_short) == len(short_in_long) == 9600
    for content in (long_in_short, short_in_long):
        assert users(tmp_path / "utmp", content) == [GuestUser(user="alice", login_time=5.0)]


def test_a_name_of_full_length_and_no_text(tmp_path: Path) -> None:
    found = users(tmp_path / "utmp", record(SHORT, USER, b"\xff" + b"a" * 31, 1))
    assert found == [GuestUser(user="\ufffd" + "a" * 31, login_time=1.0)]


@pytest.mark.parametrize("content", [b"", b"x" * 384, b"\0" * 100])
def test_what_is_no_utmp_has_no_users(tmp_path: Path, content: bytes) -> None:
    assert users(tmp_path / "utmp", content) == []


def test_without_utmp_there_are_none(tmp_path: Path) -> None:
    assert Users(tmp_path / "missing").users(GuestGetUsers()) == []
