"""Passwords, changed by the real chpasswd in a root of the test's own."""

import base64
import ctypes
import os
import shutil
from pathlib import Path

import pytest

from guestmux_protocol.guest.accounts import GuestSetUserPassword
from guestmux_session.errors import CommandError
from guestmux_session.verbs.passwords import Passwords
from guestmux_session.verbs.programs import Programs
from tests.support.stub_programs import StubPrograms

HASH = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"
"""Of the password "password", by SHA-512."""


def encoded(password: bytes) -> str:
    return base64.b64encode(password).decode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two users and nothing else."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(
        "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
    )
    (tmp_path / "etc" / "shadow").write_text("root:!:19000:0:99999:7:::\nalice:!:19000:0:99999:7:::\n")
    (tmp_path / "etc" / "login.defs").write_text("ENCRYPT_METHOD SHA512\n")
    return tmp_path


@pytest.fixture
def passwords(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Passwords:
    """The real program, moved into that root, where it cannot ask PAM how to hash."""
    real = shutil.which("chpasswd", path="/usr/sbin:/sbin")
    if real is None or os.geteuid() != 0:
        pytest.skip("needs root and chpasswd")
    stubs = StubPrograms(tmp_path_factory.mktemp("stubs"))
    method = '[ "$1" ] || set -- --crypt-method=SHA512'
    stubs.add("chpasswd", f'{method}; exec {real} --root {root} "$@"')
    return Passwords(Programs(str(stubs.path)))


def hashed(root: Path, user: str) -> str:
    lines = dict(line.split(":")[:2] for line in (root / "etc" / "shadow").read_text().splitlines())
    return lines[user]


def crypt(password: bytes, salt: str) -> str:
    """crypt(3); Python's own module is on its way out."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return str(library.crypt(password, salt.encode()).decode())


@pytest.mark.parametrize(
    "password", [b"secret", b"with:colon and space", "gr\u00fc\u00dfe".encode(), b"p\r\tx"]
)
def test_a_password_is_changed(passwords: Passwords, root: Path, password: bytes) -> None:
    passwords.set_password(GuestSetUserPassword(username="alice", password=encoded(password), crypted=False))
    new = hashed(root, "alice")
    assert new == crypt(password, new)
    assert hashed(root, "root") == "!"


def test_a_hash_is_taken_as_it_is(passwords: Passwords, root: Path) -> None:
    passwords.set_password(
        GuestSetUserPassword(username="alice", password=encoded(HASH.encode()), crypted=True)
    )
    assert hashed(root, "alice") == HASH


@pytest.mark.parametrize(
    ("user", "password", "text"),
    [
        ("alice", "!!", "Base64 data contains invalid characters"),
        ("alice", "YWI", "Base64 data is cut off or wrongly padded"),
        ("alice", "gr\u00fc\u00dfe", "Base64 data contains invalid characters"),
        ("alice", encoded(b"a\nroot:b"), "forbidden characters in raw password"),
        ("alice", encoded(b"a\0b"), "forbidden characters in raw password"),
        ("root:x\nalice", encoded(b"x"), "forbidden characters in username"),
        ("ali:ce", encoded(b"x"), "forbidden characters in username"),
        ("alice\0", encoded(b"x"), "forbidden characters in username"),
    ],
)
def test_what_is_no_line_for_one_user_changes_nothing(
    passwords: Passwords, root: Path, user: str, password: str, text: str
) -> None:
    with pytest.raises(CommandError) as caught:
        passwords.set_password(GuestSetUserPassword(username=user, password=password, crypted=False))
    assert caught.value.desc == text
    assert (hashed(root, "alice"), hashed(root, "root")) == ("!", "!")


def test_why_it_failed_is_told_without_the_password(passwords: Passwords) -> None:
    with pytest.raises(CommandError, match=r"failed to set user password: .*nobody-here") as caught:
        passwords.set_password(
            GuestSetUserPassword(username="nobody-here", password=encoded(b"secret"), crypted=False)
        )
    assert "secret" not in caught.value.desc
