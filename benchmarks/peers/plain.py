"""The plain D-Bus round trip: one answers, the other calls. `python -m benchmarks.peers.plain ROLE KIND SHAPE ADDRESS`.

ROLE is `service` or `caller`; KIND is `adapter`, or `bare` for the library's own MessageBus, with the same library
below both; SHAPE is `call` or `emit`: the arguments and the answer are those of org.guestmux.Agent1.Call or of
Manager1.Emit, so that the same is encoded and decoded.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from benchmarks.peers.worker import TEXT, Call, obey
from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.bus_library import load_library
from guestmux_transport.values import Variant

PATH = "/org/example/Echo"
INTERFACE = "org.example.Echo"


@dataclass(frozen=True, slots=True)
class Shape:
    """A method: what goes in and what comes out.

    Attributes:
        arguments: makes the arguments, with a library's own variants.
        answer: makes the answer from them.
    """

    member: str
    signature: str
    reply_signature: str
    arguments: Callable[[Any], list[Any]]
    answer: Callable[[Sequence[Any]], list[Any]]


def _call_arguments(variant: Any) -> list[Any]:
    context = {
        "id": variant("t", 1),
        "deadline": variant("d", 30.0),
        "port": variant("s", "unix-listen:/run/x"),
    }
    return ["__org.example_echo", {"text": variant("s", TEXT)}, context]


def _emit_arguments(variant: Any) -> list[Any]:
    return ["__org.example_TICKED", {"sent": variant("x", time.monotonic_ns()), "text": variant("s", TEXT)}]


SHAPES = {
    "call": Shape(
        "Call", "sa{sv}a{sv}", "a{sv}", _call_arguments, lambda body: [{"return": body[1]["text"]}]
    ),
    "emit": Shape("Emit", "sa{sv}", "t", _emit_arguments, lambda _body: [1]),
}


def _name(kind: str, shape: Shape) -> str:
    return f"org.example.{shape.member}.{kind}"


@asynccontextmanager
async def adapter_caller(address: str, shape: Shape) -> AsyncIterator[Call]:
    """What calls through the adapter."""
    async with connect_bus(address) as bus:

        async def call(_number: int) -> object:
            body = shape.arguments(Variant)
            return await bus.call(
                _name("adapter", shape), PATH, INTERFACE, shape.member, shape.signature, body
            )

        yield call


@asynccontextmanager
async def adapter_service(address: str, shape: Shape) -> AsyncIterator[Call]:
    """What answers through the adapter."""

    def answer(call: IncomingCall) -> Results:
        return shape.answer(call.body)

    async with connect_bus(address) as bus:
        methods = {shape.member: (shape.signature, shape.reply_signature, answer)}
        bus.export(PATH, Interface(INTERFACE, methods=methods))
        await bus.request_name(_name("adapter", shape))
        yield _nothing


@asynccontextmanager
async def bare_caller(address: str, shape: Shape) -> AsyncIterator[Call]:
    """What calls through the library's own MessageBus."""
    async with _bare_bus(address) as (library, bus):

        async def call(_number: int) -> object:
            message = library.Message(
                destination=_name("bare", shape),
                path=PATH,
                interface=INTERFACE,
                member=shape.member,
                signature=shape.signature,
                body=shape.arguments(library.Variant),
            )
            return await bus.call(message)

        yield call


@asynccontextmanager
async def bare_service(address: str, shape: Shape) -> AsyncIterator[Call]:
    """What answers through the library's own MessageBus."""
    async with _bare_bus(address) as (library, bus):

        def answer(message: Any) -> Any:
            if message.member != shape.member:
                return None
            return library.Message.new_method_return(
                message, shape.reply_signature, shape.answer(message.body)
            )

        bus.add_message_handler(answer)
        await bus.request_name(_name("bare", shape))
        yield _nothing


@asynccontextmanager
async def _bare_bus(address: str) -> AsyncIterator[tuple[Any, Any]]:
    package = load_library().name.replace("-", "_")
    bus = await importlib.import_module(f"{package}.aio").MessageBus(address).connect()
    try:
        yield importlib.import_module(package), bus
    finally:
        bus.disconnect()


async def _nothing(_number: int) -> None:
    """A service only answers."""


ROLES = {
    ("caller", "adapter"): adapter_caller,
    ("caller", "bare"): bare_caller,
    ("service", "adapter"): adapter_service,
    ("service", "bare"): bare_service,
}


async def _run(side: AbstractAsyncContextManager[Call]) -> None:
    async with side as call:
        await obey(call)


if __name__ == "__main__":
    anyio.run(_run, ROLES[sys.argv[1], sys.argv[2]](sys.argv[4], SHAPES[sys.argv[3]]))
