"""The bare D-Bus libraries, as a program without the adapter would use them: what the adapter's tests compare with."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

LIBRARIES = ("dbus-next", "dbus-fast")


def installed(library: str) -> str:
    """Give the library's package name; skips the test where it is not installed."""
    package = library.replace("-", "_")
    pytest.importorskip(package)
    return package


def module(library: str, name: str = "") -> Any:
    """Import a module of the library."""
    return importlib.import_module(installed(library) + (f".{name}" if name else ""))


@asynccontextmanager
async def connection(library: str, address: str) -> AsyncIterator[Any]:
    """Connect the library's own MessageBus; what it leaves behind when it fails is cleared away here."""
    bus = await module(library, "aio").MessageBus(address).connect()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        yield bus
    finally:
        with suppress(OSError, ValueError):
            loop.remove_reader(bus._sock)
            loop.remove_writer(bus._sock)
        bus.disconnect()
        bus._sock.close()
        bus._stream.close()
        await asyncio.sleep(0)
        loop.set_exception_handler(None)


def call_message(library: str, destination: str, member: str, signature: str = "", *body: Any) -> Any:
    """Make a method call in the library's own classes."""
    return module(library).Message(
        destination=destination,
        path="/org/example/Object",
        interface="org.example.Interface",
        member=member,
        signature=signature,
        body=list(body),
    )


def signal_message(library: str, body: bytes) -> Any:
    """Make a signal with some bytes in it."""
    return module(library).Message.new_signal(
        "/org/example/Object", "org.example.Interface", "Burst", "ay", [body]
    )
