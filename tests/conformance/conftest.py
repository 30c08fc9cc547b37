"""Everything here runs on the stock qemu-ga, on guestmux-qga, and on eventd's qga port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.agents import Client
from tests.support.qga_servers import SERVERS, QgaServer, start_server


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QgaServer]:
    """One of the three; each module gets a fresh one."""
    with ExitStack() as stack:
        yield start_server(request.param, tmp_path_factory.mktemp("qga"), stack)


@pytest.fixture
def host(server: QgaServer) -> Iterator[Client]:
    """A host connected to it."""
    with server.connect() as host:
        yield host


@pytest.fixture
def stock(request: pytest.FixtureRequest) -> bool:
    """Whether it is the stock one."""
    server: QgaServer = request.getfixturevalue("server")
    return server.name == "stock"


@pytest.fixture
def directory(server: QgaServer, tmp_path: Path) -> Path:
    """Where this test's files are."""
    return tmp_path
