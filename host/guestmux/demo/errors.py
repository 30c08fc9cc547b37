"""What can go wrong in the demo itself."""

from __future__ import annotations

from collections.abc import Iterator

from guestmux_protocol.errors import GuestmuxError


class DemoError(GuestmuxError):
    """The demo cannot be set up here; the text says what is missing, or what a process of it said last."""


class NotHeld(GuestmuxError):
    """Something that the demo shows did not hold."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of groups; an error that is no group is its own leaf."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
