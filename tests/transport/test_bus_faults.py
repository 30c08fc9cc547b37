"""The faults of the D-Bus libraries that design.md § 8 names, each shown on the bare library and on the adapter.

What hangs in a bare library is watched for a moment and then given up: a bounded wait, not a measurement.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_transport.bus import Bus
from guestmux_transport.bus_exports import IncomingCall, Results
from guestmux_transport.errors import BusLost, CallError, CallTimeout
from tests.support import bare_library
from tests.support.bus_names import INTERFACE, PATH, ask, offer, ping
from tests.support.dbus_daemon import STRICT_POLICY, PrivateBus, private_bus
from tests.transport.conftest import Connect

pytestmark = pytest.mark.anyio

# Seconds after which a bare library's call is taken to hang.
MOMENT = 0.3

BURSTS = pytest.mark.parametrize(("count", "size"), [(2000, 100), (50, 100_000)])


async def outcome(awaitable: Awaitable[Any]) -> BaseException | Any:
    """Give a call's result, or what it raised; TimeoutError when it hangs."""
    try:
        return await asyncio.wait_for(awaitable, MOMENT)
    except (OSError, EOFError, TimeoutError) as error:
        return error


@asynccontextmanager
async def two_bare(library: str, daemon: PrivateBus) -> AsyncIterator[tuple[Any, Any]]:
    async with (
        bare_library.connection(library, daemon.address) as bus,
        bare_library.connection(library, daemon.address) as service,
    ):
        yield bus, service


async def never(_call: IncomingCall) -> Results:
    await anyio.sleep_forever()
    return ()


class TestFullSocketBuffer:
    async def test_bare(self, daemon: PrivateBus, library: str) -> None:
        async with bare_library.connection(library, daemon.address) as bus:
            with daemon.stopped(), suppress(OSError):
                sends = [bus.send(bare_library.signal_message(library, bytes(100))) for _ in range(2000)]
                sending = asyncio.gather(*sends, return_exceptions=True)
                while bus.connected:  # noqa: ASYNC110 - it does not tell
                    await anyio.sleep(0.01)
                await outcome(sending)

    @BURSTS
    async def test_adapter(
        self, daemon: PrivateBus, client: Bus, service: Bus, count: int, size: int
    ) -> None:
        received: list[int] = []
        done = anyio.Event()

        def count_signal(signal: Any) -> None:
            received.append(len(signal.body[0]))
            if len(received) == count:
                done.set()

        await client.add_signal_handler(sender=service.unique_name, interface=INTERFACE, handler=count_signal)
        with daemon.stopped():
            for _ in range(count):
                service.emit(PATH, INTERFACE, "Burst", "ay", [bytes(size)])
            await anyio.lowlevel.checkpoint()
        await done.wait()
        assert received == [size] * count
        await ping(service)


class TestNoDeadline:
    async def test_bare(self, daemon: PrivateBus, library: str) -> None:
        async with two_bare(library, daemon) as (bus, service):
            service.add_message_handler(lambda _message: True)
            call = bus.call(bare_library.call_message(library, service.unique_name, "Never"))
            assert isinstance(await outcome(call), TimeoutError)
            assert len(bus._method_return_handlers) == 1

    async def test_adapter(self, client: Bus, service: Bus) -> None:
        release = anyio.Event()

        async def late(_call: IncomingCall) -> Results:
            await release.wait()
            return ("late",)

        offer(service, "Late", "", "s", late)
        with pytest.raises(CallTimeout, match=r"did not answer within 0\.01 s"):
            await ask(client, service, "Late", timeout=0.01)
        assert client.open_calls == 1, "the bus has it open still"
        release.set()
        offer(service, "Echo", "", "", lambda _call: ())
        await ask(client, service, "Echo")
        assert client.open_calls == 0


class TestBusThatDied:
    async def test_bare_dbus_next(self, daemon: PrivateBus) -> None:
        async with bare_library.connection("dbus-next", daemon.address) as bus:
            daemon.kill()
            with pytest.raises(EOFError):
                await bus.wait_for_disconnect()
            call = bus.call(bare_library.call_message("dbus-next", "org.example.Service", "Any"))
            assert isinstance(await outcome(call), TimeoutError)
        daemon.restart()

    async def test_adapter(self, daemon: PrivateBus, client: Bus, service: Bus) -> None:
        offer(service, "Never", "", "", never)
        pending = asyncio.ensure_future(ask(client, service, "Never", timeout=60))
        await ping(client)
        daemon.kill()
        with pytest.raises(BusLost, match="may or may not"):
            await pending
        await client.wait_lost()
        # The kernel says the second where something of ours was not read by the bus.
        assert client.lost_reason in ("the bus closed the connection", "Connection reset by peer")
        with pytest.raises(BusLost):
            await ask(client, service, "Never")
        with pytest.raises(BusLost):
            client.emit(PATH, INTERFACE, "Signal")
        daemon.restart()


class TestExceptionsOfHandlers:
    async def test_bare_dbus_next(self, daemon: PrivateBus) -> None:
        async with two_bare("dbus-next", daemon) as (bus, service):
            service.export(PATH, _faulty_service("dbus-next"))
            reply = await bus.call(bare_library.call_message("dbus-next", service.unique_name, "Fail"))
            assert f'File "{__file__}", line' in reply.body[0]
            assert "raise ZeroDivisionError" in reply.body[0]

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_adapter(
        self, client: Bus, service: Bus, asynchronous: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_call: IncomingCall) -> Results:
            raise ZeroDivisionError("secret")

        async def fail_later(call: IncomingCall) -> Results:
            return fail(call)

        offer(service, "Fail", "", "", fail_later if asynchronous else fail)
        with pytest.raises(CallError) as error:
            await ask(client, service, "Fail")
        assert error.value.name == "org.freedesktop.DBus.Error.Failed"
        assert error.value.text == "Fail failed; the service's log says why"
        assert "ZeroDivisionError: secret" in caplog.text


class TestSender:
    async def test_bare(self, daemon: PrivateBus, library: str) -> None:
        interface = _faulty_service(library)
        async with two_bare(library, daemon) as (bus, service):
            service.export(PATH, interface)
            await bus.call(bare_library.call_message(library, service.unique_name, "Who"))
        assert interface.known == ["self"]

    async def test_adapter(self, client: Bus, service: Bus) -> None:
        offer(service, "Who", "", "s", lambda call: (call.sender,))
        assert (await ask(client, service, "Who")).body == [client.unique_name]


class TestPendingReplies:
    """The system bus refuses a call when 128 are open; `max_replies_per_connection` is its limit's name."""

    CALLS = 200

    async def test_bare(self, library: str) -> None:
        with private_bus(policy=STRICT_POLICY, limits={"max_replies_per_connection": 128}) as daemon:
            async with two_bare(library, daemon) as (bus, service):
                service.add_message_handler(lambda _message: True)
                calls = [
                    asyncio.ensure_future(
                        bus.call(bare_library.call_message(library, service.unique_name, "Slow"))
                    )
                    for _ in range(self.CALLS)
                ]
                waiting = set(calls)
                while len(waiting) > 128:
                    refused, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    names = {call.result().error_name for call in refused}
                    assert names == {"org.freedesktop.DBus.Error.LimitsExceeded"}
                more, waiting = await asyncio.wait(waiting, timeout=MOMENT)
                assert (len(more), len(waiting)) == (0, 128)
                for call in waiting:
                    call.cancel()

    async def test_adapter(self, connect: Connect) -> None:
        with private_bus(policy=STRICT_POLICY, limits={"max_replies_per_connection": 128}) as daemon:
            client = await connect(address=daemon.address)
            services = [await connect(address=daemon.address) for _ in range(20)]
            for service in services:
                offer(service, "Slow", "u", "u", _slow)
            async with anyio.create_task_group() as group:
                for number in range(self.CALLS):
                    group.start_soon(ask, client, services[number % 20], "Slow", "u", [number])
            assert client.open_calls == 0
            await client.aclose()
            for service in services:
                await service.aclose()

    async def test_agents_that_never_answer_do_not_delay_another(self, connect: Connect) -> None:
        with private_bus(policy=STRICT_POLICY, limits={"max_replies_per_connection": 128}) as daemon:
            client = await connect(address=daemon.address)
            silent = [await connect(address=daemon.address) for _ in range(10)]
            good = await connect(address=daemon.address)
            offer(good, "Echo", "", "", lambda _call: ())
            async with anyio.create_task_group() as group:
                for service in silent:
                    offer(service, "Never", "", "", never)
                    for _ in range(30):
                        group.start_soon(_ask_in_vain, client, service)
                await ping(client)
                for _ in range(20):
                    await ask(client, good, "Echo")
                group.cancel_scope.cancel()
            await ask(client, good, "Echo")
            await client.aclose()


async def _slow(call: IncomingCall) -> Results:
    await anyio.sleep(0.001)
    return (call.body[0],)


async def _ask_in_vain(client: Bus, service: Bus) -> None:
    await ask(client, service, "Never", timeout=60)


def _faulty_service(library: str) -> Any:
    """Make an object with the bare library's own service classes."""
    service = bare_library.module(library, "service")

    def fail(_self: Any) -> None:
        raise ZeroDivisionError("secret")

    def who(self: Any) -> None:
        self.known += list(locals())

    members = {"Fail": service.method("Fail")(fail), "Who": service.method("Who")(who), "known": []}
    return type("Faulty", (service.ServiceInterface,), members)(INTERFACE)
