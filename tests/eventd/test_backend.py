"""The backend beside a real qemu-ga that is killed, stopped and started again."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from guestmux_eventd.backend import MAX_QUEUED, QemuGaBackend
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.addresses import UnixConnect
from guestmux_protocol.messages import COMMAND_NOT_FOUND
from tests.support.qemu_ga import QEMU_GA, QemuGaService

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")]

LONG = 20.0
"""Seconds that no test waits for when all is well."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[QemuGaService]:
    with QemuGaService(tmp_path) as service:
        yield service


class Watched(QemuGaBackend):
    """A backend whose lists of commands can be waited for."""

    def __init__(self, address: UnixConnect) -> None:
        super().__init__(address, self._count)
        self._learned = anyio.Event()

    def _count(self) -> None:
        self._learned.set()

    async def learned(self) -> None:
        await self._learned.wait()
        self._learned = anyio.Event()


@asynccontextmanager
async def backend_at(path: str) -> AsyncIterator[Watched]:
    backend = Watched(UnixConnect(path))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(backend.run)
        yield backend
        tasks.cancel_scope.cancel()


async def outcome(backend: QemuGaBackend, command: str, timeout: float = LONG) -> str:
    """What a call without arguments says when it fails."""
    with pytest.raises(CommandFailure) as caught:
        await backend.call(command, {}, timeout)
    return caught.value.desc


async def test_it_learns_what_qemu_ga_serves_and_serves_it(service: QemuGaService) -> None:
    async with backend_at(service.path) as backend:
        await backend.learned()
        assert backend.commands["guest-get-osinfo"].success_response
        assert not backend.commands["guest-shutdown"].success_response
        assert (await backend.call("guest-get-osinfo", {}, LONG))["kernel-release"]
        opened = {"path": "/dev/null", "mode": "r"}
        handle = await backend.call("guest-file-open", opened, LONG)
        assert await backend.call("guest-file-close", {"handle": handle}, LONG) == {}


async def test_what_it_refuses_goes_on_in_its_words(service: QemuGaService) -> None:
    async with backend_at(service.path) as backend:
        await backend.learned()
        assert "No such file" in await outcome_of_open(backend)
        with pytest.raises(CommandFailure, match="has not been found") as caught:
            await backend.call("guest-nonsense", {}, LONG)
        assert caught.value.error_class == COMMAND_NOT_FOUND


async def outcome_of_open(backend: QemuGaBackend) -> str:
    with pytest.raises(CommandFailure) as caught:
        await backend.call("guest-file-open", {"path": "/no/such/file"}, LONG)
    return caught.value.desc


async def test_a_command_without_a_reply_that_is_refused(service: QemuGaService) -> None:
    """A mode that there is not: nothing is shut down."""
    async with backend_at(service.path) as backend:
        await backend.learned()
        with pytest.raises(CommandFailure, match="mode"):
            await backend.call("guest-shutdown", {"mode": "sideways"}, LONG)
        assert (await backend.call("guest-get-host-name", {}, LONG))["host-name"]


async def test_one_that_is_killed_and_started_again(service: QemuGaService) -> None:
    async with backend_at(service.path) as backend:
        await backend.learned()
        service.signal(signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect, backend, "qemu-ga left; the command may or may not have run")
            await until_busy(backend)
            service.kill()
        assert "guest-get-time" in backend.commands
        service.start()
        await backend.learned()
        assert await backend.call("guest-get-time", {}, LONG) > 0


async def expect(backend: QemuGaBackend, desc: str) -> None:
    assert await outcome(backend, "guest-get-time") == desc


async def until_busy(backend: Watched) -> None:
    while backend._link is None or not backend._link.busy_with:
        await anyio.lowlevel.checkpoint()


async def test_one_that_hangs_delays_only_those_who_ask_it(service: QemuGaService) -> None:
    async with backend_at(service.path) as backend:
        await backend.learned()
        service.signal(signal.SIGSTOP)
        said = await outcome(backend, "guest-get-host-name", 0.05)
        assert said == "qemu-ga did not answer within 0.05 s; the command may or may not have run"
        said = await outcome(backend, "guest-get-time", 0.05)
        assert (
            said
            == "qemu-ga is busy with guest-get-host-name; the command was given up after 0.05 s and not run"
        )
        service.signal(signal.SIGCONT)
        # The answer that nobody waits for any more is not taken for this one's.
        assert isinstance(await backend.call("guest-get-time", {}, LONG), int)


async def test_one_that_hangs_from_the_beginning(service: QemuGaService) -> None:
    service.signal(signal.SIGSTOP)
    async with backend_at(service.path) as backend:
        while backend._link is None:
            await anyio.lowlevel.checkpoint()
        said = await outcome(backend, "guest-get-time", 0.05)
        assert said == "qemu-ga does not answer; the command was given up after 0.05 s and not run"
        service.signal(signal.SIGCONT)
        await backend.learned()


async def test_a_queue_has_an_end(service: QemuGaService) -> None:
    async with backend_at(service.path) as backend:
        await backend.learned()
        service.signal(signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            for _ in range(MAX_QUEUED):
                tasks.start_soon(backend.call, "guest-ping", {}, LONG)
            await until_busy(backend)
            assert "try again when some have ended" in await outcome(backend, "guest-ping")
            service.signal(signal.SIGCONT)


async def test_a_caller_that_leaves_leaves_nothing_behind(service: QemuGaService) -> None:
    async with backend_at(service.path) as backend:
        await backend.learned()
        service.signal(signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.call, "guest-get-host-name", {}, LONG)
            await until_busy(backend)
            tasks.cancel_scope.cancel()
        service.signal(signal.SIGCONT)
        assert isinstance(await backend.call("guest-get-time", {}, LONG), int)


async def test_none_is_there(tmp_path: Path) -> None:
    async with backend_at(str(tmp_path / "nowhere")) as backend:
        assert "qemu-ga is not there" in await outcome(backend, "guest-ping")
        assert not backend.commands
