"""A guest to talk to: a stand-in that does as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import guestmux
from tests.support.standin_guest import StandInGuest, standin_guest


@pytest.fixture(params=["qmp", "qga"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Override it by parametrize where a test is about one of them."""
    return str(request.param)


@pytest.fixture
async def standin(dialect: str, anyio_backend: str) -> AsyncIterator[StandInGuest]:
    with TemporaryDirectory(prefix="guestmux-host-") as directory:
        async with standin_guest(Path(directory), dialect) as standin:
            yield standin


@pytest.fixture
async def guest(standin: StandInGuest) -> AsyncIterator[guestmux.Guest]:
    async with guestmux.connect(standin.address) as guest:
        yield guest
