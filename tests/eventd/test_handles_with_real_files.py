"""A real file agent behind a real eventd: handles end with a qmp host, and are kept on a qga port."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_session import Agent
from guestmux_session.verbs.files import Files
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


class FileAgent(Agent):
    """Serves files."""

    name = "org.example.files"
    version = "1"


@pytest.fixture
async def files(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[Files]:
    files, agent = Files(), FileAgent(bus=bus.address)
    agent.provide(files)
    async with standin_logind(bus.address) as logind, anyio.create_task_group() as tasks:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        tasks.start_soon(agent.run)
        yield files
        tasks.cancel_scope.cancel()


async def test_a_qmp_host_s_file_is_closed_and_a_qga_host_s_is_not(
    files: Files, eventd: Eventd, tmp_path: Path
) -> None:
    path: dict[str, Any] = {"path": str(tmp_path / "file"), "mode": "w", "session": "user:tester", "wait": 20}
    qmp, qga = await eventd.qmp_host(), await eventd.qga_host()
    await qmp.ask("guest-file-open", **path)
    kept = (await qga.ask("guest-file-open", **path))["return"]
    assert "2 of" in repr(files)
    qmp.close()
    while "2 of" in repr(files):
        await qga.ask("guest-ping")
    qga.close()
    again = await eventd.qga_host()
    written = await again.ask("guest-file-write", handle=kept, **{"buf-b64": "aGVsbG8="})
    assert written["return"] == {"count": 5, "eof": False}
    assert (await again.ask("guest-file-close", handle=kept))["return"] == {}
    assert (tmp_path / "file").read_bytes() == b"hello"
    assert "0 of" in repr(files)
