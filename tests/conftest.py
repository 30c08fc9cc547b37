"""Fixtures for all tests."""

import signal

import pytest

# A shell starts what runs in the background with SIGINT ignored, and children inherit that: the tests of ^C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, which is all that guestmux supports."""
    return "asyncio"
