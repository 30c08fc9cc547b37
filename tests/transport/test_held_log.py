"""Log entries that wait for the thaw."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from guestmux_transport.held_log import MAX_HELD, HeldLog


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def kept() -> Iterator[Kept]:
    root = logging.getLogger()
    before, kept = list(root.handlers), Kept()
    root.handlers[:] = [kept]
    yield kept
    root.handlers[:] = before


def test_entries_wait_and_come_in_order(kept: Kept) -> None:
    held, logger = HeldLog(), logging.getLogger("some")
    logger.error("before")
    held.hold(True)
    held.hold(True)
    logger.error("one")
    logger.error("two")
    assert kept.texts == ["before"]
    held.hold(False)
    held.hold(False)
    logger.error("after")
    assert kept.texts == ["before", "one", "two", "after"]


def test_they_are_bounded_and_the_rest_is_counted(kept: Kept) -> None:
    held, logger = HeldLog(), logging.getLogger("some")
    held.hold(True)
    for number in range(MAX_HELD + 3):
        logger.error("%d", number)
    held.hold(False)
    assert len(kept.texts) == MAX_HELD + 1
    assert kept.texts[-1] == "3 log entries from while file systems were frozen are lost"
