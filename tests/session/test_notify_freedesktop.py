"""session-notify against a stand-in for a desktop's notification server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from guestmux_protocol.notification_commands import MAX_LINE, MAX_REPLY
from guestmux_session.stock import SessionAgent
from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_exports import Interface
from guestmux_transport.errors import CallError, MethodError
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import Registered, StandinManager, standin_manager
from tests.support.standin_notifications import NAME, PATH, StandinNotifications, standin_notifications

pytestmark = pytest.mark.anyio

# Red, green, blue, and white of half the opacity.
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAABytg0kAAAAGUlEQVR4nAXBAQ0AAAjAINwsbvILImlH4h4/gAaBNbRWFQ"
    "AAAABJRU5ErkJggg=="
)
PIXELS = "/wAA/wD/AP8AAP//////gA=="

ACTIONS = [{"key": "yes", "label": "Yes"}, {"key": "no", "label": "No"}]


class Scene:
    """A registered stock agent."""

    def __init__(self, manager: StandinManager, agent: Registered) -> None:
        self.manager = manager
        self.agent = agent

    async def notify(self, call_id: int = 1, **arguments: Any) -> Any:
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return await self.manager.call(self.agent, "session-notify", named, call_id=call_id)

    async def close(self, number: int) -> Any:
        return await self.manager.call(self.agent, "session-notify-close", {"id": number})

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        return [(entry[1], entry[2]) for entry in self.manager.log if entry[0] == "emit"]

    async def until_told(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        while len(self.told) < count:
            await self.manager.changed()
        return self.told

    async def refused(self, call_id: int = 1, **arguments: Any) -> str:
        with pytest.raises(CallError) as caught:
            await self.notify(call_id, **arguments)
        return caught.value.text


@pytest.fixture
async def scene(system_bus: PrivateBus, session_bus: PrivateBus, running: Running) -> AsyncIterator[Scene]:
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
    async with standin_manager(system_bus.address) as manager, running(agent):
        yield Scene(manager, await manager.agent())


@asynccontextmanager
async def serving(
    scene: Scene, session_bus: PrivateBus, *capabilities: str
) -> AsyncIterator[StandinNotifications]:
    """A notification server comes; the agent has noticed."""
    options = (capabilities,) if capabilities else ()
    async with standin_notifications(session_bus.address, *options) as server:
        scene.agent = await scene.manager.agent_with("session-notify")
        yield server


async def test_it_is_shown_as_plain_text(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        answer = await scene.notify(
            summary="<b>1</b>", body="<b>a</b> & b", icon="dialog-error", urgency="critical", expire=1.5
        )
        shown = await server.next()
    assert answer == {"id": 1, "outcome": "shown"}
    assert (shown.summary, shown.body) == ("<b>1</b>", "&lt;b&gt;a&lt;/b&gt; &amp; b")
    assert (shown.icon, shown.hints, shown.expire) == ("dialog-error", {"urgency": 2}, 1500)


async def test_a_server_without_markup_gets_the_text_as_it_is(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus, "body") as server:
        await scene.notify(summary="s", body="a < b")
        assert (await server.next()).body == "a < b"


@pytest.mark.parametrize(
    ("expire", "milliseconds"), [(None, -1), (0, 0), (0.0001, 1), (2_000_000, 2_000_000_000)]
)
async def test_times(scene: Scene, session_bus: PrivateBus, expire: float | None, milliseconds: int) -> None:
    async with serving(scene, session_bus) as server:
        options: dict[str, Any] = {} if expire is None else {"expire": expire}
        await scene.notify(summary="s", **options)
        assert (await server.next()).expire == milliseconds


async def test_the_choice_of_the_user_comes_back(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        results = await _several(scene, server, lambda: server.choose(1, "yes"))
        assert results == [{"id": 1, "outcome": "action", "action": "yes"}]
        assert server.shown[0].actions == ["yes", "Yes", "no", "No"]


@pytest.mark.parametrize(
    ("reason", "outcome"), [(1, "expired"), (2, "dismissed"), (3, "closed"), (4, "closed"), (99, "closed")]
)
async def test_what_else_may_become_of_it(
    scene: Scene, session_bus: PrivateBus, reason: int, outcome: str
) -> None:
    async with serving(scene, session_bus) as server:
        results = await _several(scene, server, lambda: server.end(1, reason))
        assert results == [{"id": 1, "outcome": outcome}]


async def test_several_at_once_are_told_apart(scene: Scene, session_bus: PrivateBus) -> None:
    def act() -> None:
        server.choose(2, "no")
        server.end(77, 1)
        server.end(3, 1)
        server.choose(1, "yes")

    async with serving(scene, session_bus) as server:
        results = await _several(scene, server, act, count=3)
    assert sorted((answer["id"], answer["outcome"]) for answer in results) == [
        (1, "action"),
        (2, "action"),
        (3, "expired"),
    ]


async def test_a_user_quicker_than_the_servers_answer(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        server.eager = "yes"
        answer = await scene.notify(summary="s", actions=ACTIONS, wait_for_user=True)
        assert answer == {"id": 1, "outcome": "action", "action": "yes"}


async def test_a_server_that_goes_while_one_waits(scene: Scene, session_bus: PrivateBus) -> None:
    texts: list[str] = []

    async def wait() -> None:
        texts.append(await scene.refused(summary="s", wait_for_user=True))

    async with anyio.create_task_group() as group, serving(scene, session_bus) as server:
        group.start_soon(wait)
        await server.next()
    assert texts == ["the notification server went away before the user acted"]


async def test_a_session_bus_that_goes_while_one_waits(scene: Scene, session_bus: PrivateBus) -> None:
    texts: list[str] = []

    async def wait() -> None:
        texts.append(await scene.refused(summary="s", wait_for_user=True))

    async with serving(scene, session_bus) as server, anyio.create_task_group() as group:
        group.start_soon(wait)
        await _known(scene, server)
        session_bus.kill()
    assert texts == ["the notification server went away before the user acted"]
    info = await scene.manager.call(await scene.manager.agent_without("session-notify"), "session-get-info")
    assert "session bus" in info["providers"]["notify-freedesktop"]
    session_bus.restart()
    async with serving(scene, session_bus):
        assert (await scene.notify(summary="s"))["outcome"] == "shown"


async def test_what_nobody_waits_for_comes_as_an_event(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus, "actions", "inline-reply") as server:
        await scene.notify(summary="1", actions=ACTIONS, tag="first")
        await scene.notify(summary="2", reply={})
        server.choose(1, "yes")
        server.reply(2, "x" * 20_000)
        assert await scene.until_told(4) == [
            ("NOTIFICATION_ACTION", {"id": 1, "tag": "first", "action": "yes"}),
            ("NOTIFICATION_CLOSED", {"id": 1, "tag": "first", "reason": "dismissed"}),
            ("NOTIFICATION_ACTION", {"id": 2, "reply": "x" * MAX_REPLY}),
            ("NOTIFICATION_CLOSED", {"id": 2, "reason": "dismissed"}),
        ]


async def test_a_server_that_goes_closes_what_it_shows(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus):
        await scene.notify(summary="s")
    assert await scene.until_told(1) == [("NOTIFICATION_CLOSED", {"id": 1, "reason": "server-gone"})]
    async with serving(scene, session_bus) as server:
        assert "no notification 1 of a host's is open" in await scene.refused(summary="s", replaces=1)
        assert (await scene.notify(summary="s"))["id"] == 1
        server.end(1, 1)
        assert (await scene.until_told(2))[1] == ("NOTIFICATION_CLOSED", {"id": 1, "reason": "expired"})


async def test_a_server_that_floods(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus, "actions", "inline-reply") as server:
        await scene.notify(summary="s", reply={}, resident=True)
        for number in range(2000):
            server.press(1, "x" * 5000)
            server.press(number + 2, "not ours")
        server.end(1, 2)
        while not scene.told or scene.told[-1][0] != "NOTIFICATION_CLOSED":
            await scene.manager.changed()
    told = [data for event, data in scene.told if event == "NOTIFICATION_ACTION"]
    assert 0 < len(told) <= 2000
    assert {(data["id"], len(data["action"])) for data in told} == {(1, MAX_LINE)}


async def test_a_server_that_breaks_its_specification(scene: Scene, session_bus: PrivateBus) -> None:
    methods = {
        "GetCapabilities": ("", "u", lambda _call: (5,)),
        "Notify": ("susssasa{sv}i", "s", lambda _call: ("one",)),
    }
    async with connect_bus(session_bus.address) as bus:
        bus.export(PATH, Interface(NAME, methods=methods))
        await bus.request_name(NAME)
        scene.agent = await scene.manager.agent_with("session-notify")
        assert "it breaks its specification" in await scene.refused(summary="s")


async def test_the_user_replies(scene: Scene, session_bus: PrivateBus) -> None:
    answers: list[Any] = []

    async def ask() -> None:
        reply = {"label": "Send", "placeholder": "A word?"}
        answers.append(await scene.notify(summary="s", actions=ACTIONS, reply=reply, wait_for_user=True))

    async with serving(scene, session_bus, "actions", "inline-reply") as server:
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await _known(scene, server)
            server.reply(1, "Not now")
        shown = server.shown[0]
    assert answers == [{"id": 1, "outcome": "replied", "reply": "Not now"}]
    assert shown.actions[4:] == ["inline-reply", "Send"]
    assert shown.hints["x-kde-reply-placeholder-text"] == "A word?"


async def test_hints(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        await scene.notify(
            summary="s", category="im.received", resident=True, transient=True, image_b64=PICTURE
        )
        hints = (await server.next()).hints
    assert hints.pop("image-data") == [2, 2, 8, True, 8, 4, PIXELS]
    assert hints == {"urgency": 1, "category": "im.received", "resident": True, "transient": True}


async def test_one_takes_the_place_of_another(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        await scene.notify(summary="1", tag="old")
        assert (await scene.notify(summary="2", replaces=1, tag="new"))["id"] == 1
        assert server.shown[1].replaces == 1
        server.end(1, 2)
        assert (await scene.until_told(1))[0][1]["tag"] == "new"
        assert "no notification 1 of a host's" in await scene.refused(summary="3", replaces=1)


async def test_a_host_takes_one_away(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        await scene.notify(summary="s")
        assert await scene.close(1) == {}
        assert server.closed == [1]
        assert await scene.until_told(1) == [("NOTIFICATION_CLOSED", {"id": 1, "reason": "closed"})]
        with pytest.raises(CallError, match="no notification 1 of a host's is open"):
            await scene.close(1)
        # Another program's is nothing to hosts.
        with pytest.raises(CallError, match="no notification 77 of a host's is open"):
            await scene.close(77)


async def test_the_server_is_heard_only_while_one_is_open(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server:
        assert not await server.is_heard()
        await scene.notify(summary="s")
        assert await server.is_heard()
        server.end(1, 1)
        await server.until_unheard()


async def test_nobody_waits_for_a_cancelled_one(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus) as server, anyio.create_task_group() as group:
        group.start_soon(lambda: scene.refused(summary="s", wait_for_user=True))
        await server.next()
        await scene.manager.cancel(scene.agent, 1)
        await server.taken_away(1)
        await server.until_unheard()
    assert scene.told == []


async def test_what_the_server_cannot_do_is_said(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus, "body") as server:
        assert "shows no buttons" in await scene.refused(summary="s", actions=ACTIONS)
        assert "takes no replies" in await scene.refused(summary="s", reply={})
        server.fail = MethodError("org.example.Broken", "out of paper")
        assert await scene.refused(summary="s") == "the notification server could not show it: out of paper"
        assert server.shown == []


async def test_too_much_is_refused(scene: Scene, session_bus: PrivateBus) -> None:
    async with serving(scene, session_bus):
        assert "length <= 16384" in await scene.refused(summary="s", body="x" * 20_000)
        assert ">= 0" in await scene.refused(summary="s", expire=-1)
        assert "has more than 16 items" in await scene.refused(summary="s", actions=ACTIONS * 9)
        assert "no path" in await scene.refused(summary="s", icon="/etc/passwd")
        assert "no path" in await scene.refused(summary="s", icon="file:///dev/zero")
        assert "ask for a reply by" in await scene.refused(
            summary="s", actions=[{"key": "inline-reply", "label": ""}]
        )
        assert "no PNG" in await scene.refused(summary="s", image_b64="R0lGODlh")
        assert "Base64" in await scene.refused(summary="s", image_b64="!")


async def _several(scene: Scene, server: StandinNotifications, act: Any, count: int = 1) -> list[Any]:
    """Wait for notifications while the user acts."""
    results: list[Any] = []

    async def wait(call_id: int) -> None:
        results.append(await scene.notify(call_id, summary="s", actions=ACTIONS, wait_for_user=True))

    async with anyio.create_task_group() as group:
        for call_id in range(count):
            group.start_soon(wait, call_id)
        await _known(scene, server, count)
        act()
    return results


async def _known(scene: Scene, server: StandinNotifications, count: int = 1) -> None:
    """Wait until the agent knows the notifications' numbers: it has answered a later call on the same connections."""
    await server.next(count)
    await scene.notify(90, summary="later")
