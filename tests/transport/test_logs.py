"""Logs: one line on stderr that untrusted text cannot break; entries with fields in the journal."""

from __future__ import annotations

import io
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestmux_transport import logs
from guestmux_transport.logs import JournalHandler, configure_logging


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def fields(datagram: bytes) -> dict[str, str]:
    """Decode an entry of the journal's native protocol."""
    found = {}
    while datagram:
        name, _, rest = datagram.partition(b"\n")
        (size,) = struct.unpack_from("<Q", rest)
        found[name.decode()] = rest[8 : 8 + size].decode()
        datagram = rest[8 + size + 1 :]
    return found


def test_a_line_on_stderr_stays_one_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    logging.getLogger("x").info("agent '%s'", "a\nERROR: forged \x1b[31m")
    logging.getLogger("x").debug("not this")
    assert stream.getvalue() == "INFO: agent 'a\\nERROR: forged \\x1b[31m'\n"


def test_the_journal_gets_fields(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        handler = JournalHandler(str(tmp_path / "journal"))
        logger = logging.Logger("guestmux_eventd.manager")
        logger.addHandler(handler)
        logger.warning("refused\nMESSAGE=forged %s", "\ud800", extra={"guestmux_session": "c2"})
        entry = fields(journal.recv(1 << 20))
        handler.close()
    assert entry["MESSAGE"] == "refused\nMESSAGE=forged \\ud800"
    assert (entry["PRIORITY"], entry["GUESTMUX_SESSION"]) == ("4", "c2")
    assert entry["LOGGER"] == "guestmux_eventd.manager"


def test_a_traceback_goes_with_its_entry(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        handler = JournalHandler(str(tmp_path / "journal"))
        logger = logging.Logger("x")
        logger.addHandler(handler)
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("broken")
        assert "ValueError: why" in fields(journal.recv(1 << 20))["MESSAGE"]
        handler.close()


def test_a_journal_that_is_gone_loses_the_entry_and_nothing_else(tmp_path: Path) -> None:
    handler = JournalHandler(str(tmp_path / "none"))
    logger = logging.Logger("x")
    logger.addHandler(handler)
    logger.error("nobody hears it")
    handler.close()


def test_the_journal_is_used_when_systemd_connected_stderr_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "JOURNAL_SOCKET", str(tmp_path / "none"))
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure_logging("info", stream=stream)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, JournalHandler)
    handler.close()
