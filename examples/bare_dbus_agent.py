"""An agent without the SDK, of plain D-Bus messages (here by dbus-next); any language can do the same.

Run it in a session: python examples/bare_dbus_agent.py
"""

import asyncio
import socket

from dbus_next import BusType, Message, MessageType, Variant
from dbus_next.aio import MessageBus

MANAGER, MANAGER_PATH = "org.guestmux.Manager1", "/org/guestmux/Manager1"
BUS = {
    "destination": "org.freedesktop.DBus",
    "path": "/org/freedesktop/DBus",
    "interface": "org.freedesktop.DBus",
}
AGENT_PATH = "/org/example/HostName"
HOSTNAME = "__org.example_hostname"
COMMANDS = {HOSTNAME: '{"data": {}, "returns": "str", "doc": "Tell the host name."}'}
PROPERTIES = {"version": Variant("s", "1.0"), "commands": Variant("a{ss}", COMMANDS)}


class HostName:
    """The agent; `eventd` is who owns the manager's name now."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.eventd = ""
        self.registered = False

    async def start(self) -> None:
        self.bus.add_message_handler(self.handle)
        for rule in (
            f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{MANAGER}'",
            f"type='signal',sender='{MANAGER}',member='PropertiesChanged',arg0='{MANAGER}'",
        ):
            await self.bus.call(Message(**BUS, member="AddMatch", signature="s", body=[rule]))
        owner = await self.bus.call(Message(**BUS, member="GetNameOwner", signature="s", body=[MANAGER]))
        if owner.message_type is MessageType.METHOD_RETURN:
            await self.register(owner.body[0])

    async def register(self, owner: str) -> None:
        self.eventd = owner
        body = [AGENT_PATH, "org.example.hostname", PROPERTIES]
        manager = {"destination": owner, "path": MANAGER_PATH, "interface": MANAGER}
        reply = await self.bus.call(
            Message(**manager, member="RegisterAgent", signature="osa{sv}", body=body)
        )
        self.registered = reply.message_type is MessageType.METHOD_RETURN
        print("session" if self.registered else "refused", *reply.body, flush=True)

    def handle(self, message: Message) -> Message | None:
        if message.sender == "org.freedesktop.DBus" and message.member == "NameOwnerChanged":
            self.eventd, self.registered = message.body[2], False
            self.retry()
        elif message.sender == self.eventd and message.member == "PropertiesChanged":
            self.retry()  # sessions came: at login systemd may start this before logind knows of the session
        elif message.message_type is MessageType.METHOD_CALL and message.path == AGENT_PATH:
            return self.answer(message)
        return None

    def retry(self) -> None:
        if self.eventd and not self.registered:
            self.task = asyncio.ensure_future(self.register(self.eventd))

    def answer(self, call: Message) -> Message:
        if call.sender != self.eventd:
            return Message.new_error(call, "org.guestmux.Error.Denied", "only eventd may call")
        if call.member != "Call":  # Cancel, Release
            return Message.new_method_return(call)
        if call.body[0] != HOSTNAME:
            return Message.new_error(call, "org.guestmux.Error.CommandNotFound", f"no command {call.body[0]}")
        return Message.new_method_return(call, "a{sv}", [{"return": Variant("s", socket.gethostname())}])


async def main() -> None:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    await HostName(bus).start()
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    asyncio.run(main())
