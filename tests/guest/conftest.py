"""Fixtures: a booted guest, shared by the tests of a module."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.guest.logins import Login, TerminalLogin, seat_login, terminal_login
from tests.guest.rig import Guest, booted_guest


@pytest.fixture(scope="module")
def module_guest() -> Iterator[Guest]:
    """One boot for a module's tests. Ask for `guest`, which keeps the tests apart."""
    with booted_guest() as guest:
        yield guest


@pytest.fixture
def guest(module_guest: Guest) -> Iterator[Guest]:
    """A guest that nobody is logged in to, before the test and after it."""
    yield module_guest
    module_guest.wait_for("an empty guest", lambda: not module_guest.sessions())


@pytest.fixture
def own_guest() -> Iterator[Guest]:
    """A guest of the test's own, for tests that switch it off or break it."""
    with booted_guest() as guest:
        yield guest


@pytest.fixture
def log_in(guest: Guest) -> Iterator[Callable[[str], TerminalLogin]]:
    """Log a user in at a terminal; logged out after the test."""
    with ExitStack() as stack:
        yield lambda user: stack.enter_context(terminal_login(guest, user))


@pytest.fixture
def log_in_on_seat(guest: Guest) -> Iterator[Callable[[str], Login]]:
    """Give a user a graphical session on seat0; ended after the test."""
    with ExitStack() as stack:
        yield lambda user: stack.enter_context(seat_login(guest, user))
