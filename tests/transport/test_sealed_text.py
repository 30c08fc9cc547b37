"""Large JSON text as sealed memfds, and what is refused of other people's."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import pytest

from guestmux_transport.errors import InvalidValue, TooLarge
from guestmux_transport.sealed_text import MAX_TEXT_BYTES, read_sealed, write_sealed

ALL = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@pytest.fixture
def memfd() -> Iterator[int]:
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    yield fd
    os.close(fd)


def test_what_was_written_is_read_and_nobody_can_change_it() -> None:
    fd = write_sealed(b'{"a": 1}')
    try:
        os.lseek(fd, 3, os.SEEK_SET)
        assert read_sealed(fd) == b'{"a": 1}'
        with pytest.raises(PermissionError):
            os.write(fd, b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


@pytest.mark.parametrize("missing", [fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE])
def test_a_memfd_that_lacks_a_seal_is_refused(memfd: int, missing: int) -> None:
    fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, ALL & ~missing)
    with pytest.raises(InvalidValue, match="not sealed"):
        read_sealed(memfd)


def test_what_is_no_memfd_is_refused() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(InvalidValue, match="no memfd"):
            read_sealed(reader)
    finally:
        os.close(reader)
        os.close(writer)


def test_one_that_is_too_large_is_refused_unread(memfd: int) -> None:
    os.ftruncate(memfd, MAX_TEXT_BYTES + 1)
    fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, ALL)
    with pytest.raises(TooLarge, match="at most"):
        read_sealed(memfd)


def test_text_that_is_too_large_is_not_written() -> None:
    with pytest.raises(TooLarge, match="at most"):
        write_sealed(bytes(MAX_TEXT_BYTES + 1))


def test_no_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TooLarge, match="No space left"):
        write_sealed(b"x")
