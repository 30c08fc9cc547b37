"""What we offer: dispatch, standard interfaces, bounds on handlers, fairness to the rest of the loop."""

import asyncio
import gc
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import anyio
import pytest

from guestmux_transport.bus import Bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.bus_message import METHOD_CALL, Message
from guestmux_transport.errors import CallError, InvalidValue, MethodError
from guestmux_transport.names import INTROSPECTABLE_INTERFACE, PEER_INTERFACE, PROPERTIES_INTERFACE
from guestmux_transport.values import Variant
from tests.support import bare_library
from tests.support.bus_names import INTERFACE, PATH, ask, offer, ping
from tests.support.dbus_daemon import PrivateBus
from tests.transport.conftest import Connect

pytestmark = pytest.mark.anyio

ERROR = "org.freedesktop.DBus.Error."


async def refusal(
    client: Bus, service: Bus, path: str, interface: str, member: str, *arguments: object
) -> str:
    signature = "".join("v" if isinstance(argument, Variant) else "s" for argument in arguments)
    with pytest.raises(CallError) as error:
        await client.call(service.unique_name, path, interface, member, signature, arguments)
    return error.value.name


async def test_calls_that_are_for_nothing(client: Bus, service: Bus) -> None:
    offer(service, "Echo", "s", "s", lambda call: (call.body[0],))
    assert await refusal(client, service, "/none", INTERFACE, "Echo", "a") == ERROR + "UnknownObject"
    assert await refusal(client, service, PATH, "org.example.None", "Echo", "a") == ERROR + "UnknownInterface"
    assert await refusal(client, service, PATH, INTERFACE, "None", "a") == ERROR + "UnknownMethod"
    assert await refusal(client, service, PATH, INTERFACE, "Echo") == ERROR + "InvalidArgs"
    service.unexport(PATH)
    assert await refusal(client, service, PATH, INTERFACE, "Echo", "a") == ERROR + "UnknownObject"


async def test_an_answer_that_does_not_fit_its_signature_is_an_error(
    client: Bus, service: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    offer(service, "Wrong", "", "u", lambda _call: ("text",))
    with pytest.raises(CallError, match="cannot be sent"):
        await ask(client, service, "Wrong")
    assert "cannot be sent" in caplog.text
    await ping(service)


async def test_handlers_run_at_the_same_time(client: Bus, service: Bus) -> None:
    both = anyio.Event()
    waiting: list[int] = []

    async def meet(call: IncomingCall) -> Results:
        waiting.append(call.body[0])
        if len(waiting) == 2:
            both.set()
        await both.wait()
        return ()

    offer(service, "Meet", "u", "", meet)
    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(ask, client, service, "Meet", "u", [number])


async def test_one_sender_cannot_take_all_handlers(connect: Connect) -> None:
    service = await connect(limits=BusLimits(handlers_per_sender=2, handlers=3))
    release = anyio.Event()

    async def wait(_call: IncomingCall) -> Results:
        await release.wait()
        return ()

    offer(service, "Wait", "", "", wait)
    greedy, second, third = await connect(), await connect(), await connect()
    async with anyio.create_task_group() as group:
        for bus in (greedy, greedy, second):
            group.start_soon(ask, bus, service, "Wait")
        for bus in (greedy, second):
            await ping(bus)
        with pytest.raises(CallError, match=r"LimitExceeded: 2 of your calls"):
            await ask(greedy, service, "Wait")
        with pytest.raises(CallError, match=r"LimitExceeded: too many"):
            await ask(third, service, "Wait")
        release.set()
    await ask(greedy, service, "Wait")
    assert service._answers.running == 0


FLOOD = 2000


class Turns:
    """Counts the rounds of the loop, and how many messages were handled in each."""

    def __init__(self) -> None:
        self.turn = 0
        self.handled: Counter[int] = Counter()
        self.done = asyncio.Event()

    def handle(self, _message: object) -> None:
        self.handled[self.turn] += 1
        if self.handled.total() == FLOOD:
            self.done.set()

    async def watch(self) -> None:
        while not self.done.is_set():
            self.turn += 1
            await asyncio.sleep(0)

    async def take_flood(self, client: Bus, destination: str) -> int:
        """Send the flood and give the largest number of messages handled in one round."""
        for _ in range(FLOOD):
            client.tell(destination, PATH, INTERFACE, "Flood")
        await self.watch()
        return max(self.handled.values())


async def test_a_flood_leaves_the_loop_to_others(client: Bus, service: Bus) -> None:
    turns = Turns()
    offer(service, "Flood", "", "", turns.handle)
    assert await turns.take_flood(client, service.unique_name) <= BusLimits().messages_per_wakeup


async def test_a_flood_takes_the_loop_of_a_bare_library(
    daemon: PrivateBus, library: str, client: Bus
) -> None:
    """It handles all there is in the socket before anything else runs."""
    turns = Turns()

    def handle(message: Any) -> bool:
        if message.member == "Flood":
            turns.handle(message)
        return True

    async with bare_library.connection(library, daemon.address) as bare:
        bare.add_message_handler(handle)
        assert await turns.take_flood(client, bare.unique_name) > BusLimits().messages_per_wakeup


def exported(service: Bus) -> dict[str, str]:
    values = {"Mode": "slow"}

    def change(value: str) -> None:
        if value not in {"slow", "fast"}:
            raise MethodError(ERROR + "InvalidArgs", "slow or fast")
        values["Mode"] = value

    service.export(
        PATH,
        Interface(
            INTERFACE,
            {"Echo": ("sa{sv}", "s", lambda call: (call.body[0],))},
            {"Version": Property("s", lambda: "1.0"), "Mode": Property("s", lambda: values["Mode"], change)},
            {"Happened": "st"},
        ),
    )
    return values


async def test_properties_are_read_and_written(client: Bus, service: Bus) -> None:
    values = exported(service)

    async def properties(member: str, *arguments: object) -> object:
        signature = "".join("v" if isinstance(argument, Variant) else "s" for argument in arguments)
        reply = await client.call(
            service.unique_name, PATH, PROPERTIES_INTERFACE, member, signature, arguments
        )
        return reply.body[0] if reply.body else None

    assert await properties("Get", INTERFACE, "Version") == Variant("s", "1.0")
    assert await properties("GetAll", INTERFACE) == {
        "Version": Variant("s", "1.0"),
        "Mode": Variant("s", "slow"),
    }
    assert await properties("GetAll", PEER_INTERFACE) == {}
    await properties("Set", INTERFACE, "Mode", Variant("s", "fast"))
    assert values["Mode"] == "fast"


@pytest.mark.parametrize(
    ("member", "arguments", "error"),
    [
        ("Get", (INTERFACE, "None"), "UnknownProperty"),
        ("Get", ("org.example.None", "Version"), "UnknownInterface"),
        ("GetAll", ("org.example.None",), "UnknownInterface"),
        ("Set", (INTERFACE, "Version", Variant("s", "2")), "PropertyReadOnly"),
        ("Set", (INTERFACE, "Mode", Variant("u", 2)), "InvalidArgs"),
        ("Set", (INTERFACE, "Mode", Variant("s", "medium")), "InvalidArgs"),
        ("Get", (INTERFACE,), "InvalidArgs"),
        ("Gets", (INTERFACE, "Version"), "UnknownMethod"),
    ],
)
async def test_properties_refuse(
    client: Bus, service: Bus, member: str, arguments: tuple[object, ...], error: str
) -> None:
    exported(service)
    assert await refusal(client, service, PATH, PROPERTIES_INTERFACE, member, *arguments) == ERROR + error


async def test_changed_properties_are_told(client: Bus, service: Bus) -> None:
    values = exported(service)
    told: list[list[object]] = []
    await client.add_signal_handler(
        sender=service.unique_name,
        interface=PROPERTIES_INTERFACE,
        member="PropertiesChanged",
        handler=lambda signal: told.append(signal.body),
    )
    values["Mode"] = "fast"
    service.properties_changed(PATH, INTERFACE, "Mode")
    await client.call(service.unique_name, PATH, PEER_INTERFACE, "Ping")
    assert told == [[INTERFACE, {"Mode": Variant("s", "fast")}, []]]


async def introspect(client: Bus, service: Bus, path: str) -> ElementTree.Element:
    reply = await client.call(service.unique_name, path, INTROSPECTABLE_INTERFACE, "Introspect")
    return ElementTree.fromstring(reply.body[0])


async def test_introspection_shows_all_that_is_exported(client: Bus, service: Bus, library: str) -> None:
    exported(service)
    node = await introspect(client, service, PATH)
    shown = node.find(f"interface[@name='{INTERFACE}']")
    assert shown is not None
    arguments = [(arg.get("type"), arg.get("direction")) for arg in shown.findall("method[@name='Echo']/arg")]
    assert arguments == [("s", "in"), ("a{sv}", "in"), ("s", "out")]
    access = {item.get("name"): item.get("access") for item in shown.findall("property")}
    assert access == {"Version": "read", "Mode": "readwrite"}
    assert [arg.get("type") for arg in shown.findall("signal[@name='Happened']/arg")] == ["s", "t"]
    parsed = bare_library.module(library, "introspection").Node.parse(
        ElementTree.tostring(node, encoding="unicode")
    )
    assert INTERFACE in [interface.name for interface in parsed.interfaces]


async def test_introspection_leads_from_the_root_to_the_object(client: Bus, service: Bus) -> None:
    assert (await introspect(client, service, "/")).findall("node") == []
    exported(service)
    for path, child in [("/", "org"), ("/org", "example"), ("/org/example", "Object")]:
        children = [node.get("name") for node in (await introspect(client, service, path)).findall("node")]
        assert children == [child]
    assert await refusal(client, service, "/org/other", INTROSPECTABLE_INTERFACE, "Introspect") == (
        ERROR + "UnknownObject"
    )


@pytest.mark.parametrize(
    "interface",
    [
        Interface("nodot"),
        Interface(INTERFACE, {"bad-name": ("", "", lambda _call: ())}),
        Interface(INTERFACE, {"Bad": ("a", "", lambda _call: ())}),
        Interface(INTERFACE, properties={"Bad": Property("{sv}", dict)}),
    ],
)
async def test_what_cannot_be_exported_is_refused(service: Bus, interface: Interface) -> None:
    with pytest.raises(InvalidValue):
        service.export(PATH, interface)


async def test_an_end_before_a_handler_began_leaves_nothing_behind(service: Bus) -> None:
    """Python complains of a coroutine that was never awaited, and warnings are errors."""

    async def handler(_call: IncomingCall) -> Results:
        raise AssertionError("it began")

    offer(service, "Late", "", "", handler)
    call = Message(kind=METHOD_CALL, serial=1, sender=":1.99", path=PATH, interface=INTERFACE, member="Late")
    service._answers.handle(call)
    assert service._answers.running == 1
    await service._answers.close()
    assert service._answers.running == 0
    gc.collect()
