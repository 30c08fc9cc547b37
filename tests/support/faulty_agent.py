"""An agent of bare D-Bus calls with one fault, as a program: python -m tests.support.faulty_agent [FAULT].

Without a fault it does what docs/agents.md says, and no more.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

import anyio

from guestmux_session.check.call_checks import NEVER_GIVEN
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import CallError, MethodError
from guestmux_transport.names import (
    AGENT_INTERFACE,
    DBUS_INTERFACE,
    DBUS_NAME,
    DBUS_PATH,
    ERROR_PREFIX,
    MANAGER_INTERFACE,
    MANAGER_NAME,
    MANAGER_PATH,
    PROPERTIES_INTERFACE,
)
from guestmux_transport.values import Variant

NAME, PATH = "org.example.faulty", "/org/example/Faulty"
HELLO, DONE = "__org.example_hello", "__org.example_DONE"

SLOW_SECONDS = 0.6
"""Long enough for the checker to see whether a call ends."""


class FaultyAgent:
    """The agent."""

    def __init__(self, bus: Bus, fault: str) -> None:
        self.bus = bus
        self.fault = fault
        self.owner = ""
        self.registered = False
        self.channels: list[int] = []
        self.owners: list[str] = []
        self.cancelled = 0
        self.called = anyio.Event()
        methods = {
            "Call": ("sa{sv}a{sv}", "a{sv}", self.call),
            "Cancel": ("t", "", self.cancel),
            "Release": ("", "", self.release),
        }
        bus.export(PATH, Interface(AGENT_INTERFACE, methods=methods))

    async def start(self) -> None:
        await self.bus.add_signal_handler(
            sender=DBUS_NAME,
            interface=DBUS_INTERFACE,
            member="NameOwnerChanged",
            path=DBUS_PATH,
            handler=self.owner_changed,
        )
        await self.bus.add_signal_handler(
            sender=MANAGER_NAME,
            interface=PROPERTIES_INTERFACE,
            member="PropertiesChanged",
            path=MANAGER_PATH,
            handler=self.properties_changed,
        )
        reply = await self.bus.call(DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "GetNameOwner", "s", [MANAGER_NAME])
        self.follow(reply.body[0])
        await self.register()

    def follow(self, owner: str) -> None:
        self.owner = owner
        self.owners.append(owner)

    async def register(self) -> None:
        properties = {
            "version": Variant("s", "1"),
            "commands": Variant("a{ss}", {HELLO: '{"data": {}, "returns": "str", "doc": "Greet."}'}),
            "events": Variant("a{ss}", {DONE: '{"data": {"count": "int"}, "doc": "It is done."}'}),
            "large-messages": Variant("b", True),
        }
        body = (PATH, NAME, properties)
        try:
            await self.bus.call(self.owner, MANAGER_PATH, MANAGER_INTERFACE, "RegisterAgent", "osa{sv}", body)
        except CallError as error:
            self.refused(error)
            return
        self.registered = True
        if self.fault == "silent-on-its-channel":
            await self.acquire()
        data = {
            "count": Variant(
                "s" if self.fault == "emits-nonsense" else "x", "1" if self.fault == "emits-nonsense" else 1
            )
        }
        try:
            await self.bus.call(self.owner, MANAGER_PATH, MANAGER_INTERFACE, "Emit", "sa{sv}", (DONE, data))
        except CallError as error:
            print(error.text, flush=True)

    async def acquire(self) -> None:
        options = {"version": Variant("u", 1)}
        with suppress(CallError):
            reply = await self.bus.call(
                self.owner, MANAGER_PATH, MANAGER_INTERFACE, "AcquireChannel", "oa{sv}", (PATH, options)
            )
            # Kept open, and never spoken on.
            self.channels += reply.fds

    def refused(self, error: CallError) -> None:
        print(error.text, flush=True)
        if self.fault == "ends-without-a-session":
            os._exit(1)

    def properties_changed(self, change: Signal) -> None:
        # Released is not refused: this eventd has nothing for it any more.
        waits = not self.registered and self.fault != "gives-up-without-a-session"
        if "Sessions" in change.body[1] and waits:
            tasks.start_soon(self.register)

    def owner_changed(self, change: Signal) -> None:
        name, _former, owner = change.body
        if name == MANAGER_NAME and owner and self.fault != "ignores-a-new-eventd":
            self.follow(owner)
            self.registered = False
            tasks.start_soon(self.register)

    async def call(self, call: IncomingCall) -> Results:
        self.check(call)
        name, arguments, context = call.body
        if self.fault == "dies-of-arguments" and arguments:
            os._exit(3)
        if self.fault == "never-answers":
            await anyio.sleep_forever()
        if self.fault == "no-memfds" and "arguments-fd" in context:
            raise MethodError(f"{ERROR_PREFIX}InvalidArgument", "what is that?")
        if self.fault == "other-errors":
            raise MethodError("org.example.Error.What", "no")
        if self.cancelled:
            self.called.set()
        if name != HELLO and self.fault != "answers-anything":
            raise MethodError(f"{ERROR_PREFIX}CommandNotFound", f"no command '{name}'")
        if self.fault == "goes-on":
            await self.go_on(context["id"].value)
        return (self.result(),)

    async def go_on(self, call_id: int) -> None:
        """Take long; where it is cancelled, until long after the next call came."""
        await anyio.sleep(SLOW_SECONDS)
        if self.cancelled == call_id:
            await self.called.wait()
            await anyio.sleep(SLOW_SECONDS)

    def result(self) -> dict[str, Any]:
        if self.fault == "result-against-schema":
            return {"return": Variant("x", 1)}
        return (
            {"value": Variant("s", "hello")}
            if self.fault == "no-return"
            else {"return": Variant("s", "hello")}
        )

    def cancel(self, call: IncomingCall) -> Results:
        self.check(call)
        if self.fault == "goes-on" and call.body[0] != NEVER_GIVEN:
            self.cancelled = call.body[0]
        if self.fault == "cancel-fails":
            raise MethodError(f"{ERROR_PREFIX}InvalidArgument", "no such call")
        return ()

    async def release(self, call: IncomingCall) -> Results:
        self.check(call)
        if self.fault == "comes-back-at-once":
            tasks.start_soon(self.register)
        return ()

    def check(self, call: IncomingCall) -> None:
        if self.fault == "trusts-everybody":
            return
        trusted = self.owners if self.fault == "trusts-the-former" else [self.owner]
        if call.sender not in trusted:
            raise MethodError(f"{ERROR_PREFIX}Denied", "only eventd may call")


tasks: Any = None


async def main(fault: str) -> None:
    global tasks
    if fault == "says-nothing":
        print("what a day")
        print("\x1b[31mno configuration\x1b[0m", flush=True)
        sys.exit(4)
    if fault == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    async with connect_bus(os.environ["DBUS_SYSTEM_BUS_ADDRESS"]) as bus, anyio.create_task_group() as tasks:
        await FaultyAgent(bus, fault).start()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if sys.argv[1:] else "")
