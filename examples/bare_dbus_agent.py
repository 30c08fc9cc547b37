"""An agent without the SDK, of plain D-Bus messages (here by dbus-next); any language can do the same.

Run it in a session: python examples/bare_dbus_agent.py
"""

import asyncio
import socket

from dbus_next import BusType, Message, MessageType, Variant
from dbus_next.aio import MessageBus

MANAGER, MANAGER_PATH = "org.guestmux.Manager1", "/org/guestmux/Manager1"
AGENT_PATH = "/org/example/HostName"
COMMANDS = {"__org.example_hostname": '{"data": {}, "returns": "str", "doc": "Tell the host name."}'}


async def main() -> None:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    bus_call = {"destination": "org.freedesktop.DBus", "path": "/", "interface": "org.freedesktop.DBus"}
    owner = await bus.call(Message(**bus_call, member="GetNameOwner", signature="s", body=[MANAGER]))
    eventd = owner.body[0]

    def answer(call: Message) -> Message | None:
        if call.message_type is not MessageType.METHOD_CALL or call.path != AGENT_PATH:
            return None
        if call.sender != eventd:
            return Message.new_error(call, "org.guestmux.Error.Denied", "only eventd may call")
        if call.member != "Call":  # Cancel, Release
            return Message.new_method_return(call)
        return Message.new_method_return(call, "a{sv}", [{"return": Variant("s", socket.gethostname())}])

    bus.add_message_handler(answer)
    body = [AGENT_PATH, "org.example.hostname", {"commands": Variant("a{ss}", COMMANDS)}]
    manager = {"destination": MANAGER, "path": MANAGER_PATH, "interface": MANAGER}
    reply = await bus.call(Message(**manager, member="RegisterAgent", signature="osa{sv}", body=body))
    print("session", reply.body[0], flush=True)
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    asyncio.run(main())
