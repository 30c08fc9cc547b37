"""EmitOnce: events of programs without an agent, here of busctl; identity, bounds and privacy as for agents."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest

from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.event_intake import EventIntake
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.refusal import Refusal
from guestmux_eventd.single_events import SingleEvents
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.errors import CallError
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import Variant, object_from_json
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = pytest.mark.anyio

DONE, HIDDEN = "__org.example_BACKUP_DONE", "__org.example_HIDDEN"
NAME = "org.example.backup"
TABLES = f"""
[[privacy]]
events = ["{DONE}"]
withhold = ["secret"]
[[privacy]]
events = ["{HIDDEN}"]
drop = true
"""


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        await logind.control.login("tester", os.getuid(), id="c1")
        yield logind


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind, tmp_path: Path) -> Any:
    (config := tmp_path / "eventd.toml").write_text(TABLES)
    with running_eventd(bus.address, "--config", str(config)) as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> RawHost:
    host = await eventd.qmp_host()
    await host.subscribe("__*")
    return host


@pytest.fixture
async def client(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    """A bus client that never registers."""
    async with bare_agent(bus.address) as client:
        yield client


async def once(
    client: BareAgent,
    event: str = DONE,
    data: dict[str, Any] | None = None,
    options: dict[str, Variant] | None = None,
    name: str = NAME,
) -> int:
    body = (name, event, object_from_json(data or {}), options or {})
    (number,) = await client.manager("EmitOnce", "ssa{sv}a{sv}", *body)
    return int(number)


async def test_busctl_emits_by_one_command(bus: PrivateBus, host: RawHost) -> None:
    command = ["busctl", f"--address={bus.address}", "call", MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE]
    command += ["EmitOnce", "ssa{sv}a{sv}", NAME, DONE, "2", "volume", "s", "home", "bytes", "t", "5", "0"]
    done = await anyio.run_process(command, stderr=PIPE)
    event = await host.event(DONE)
    assert done.stdout == b"t %d\n" % event["seq"]
    told = {key: event[key] for key in ("agent", "session", "source", "volume", "bytes")}
    assert told == {"agent": NAME, "session": "c1", "source": "claimed", "volume": "home", "bytes": 5}


@pytest.mark.skipif(os.getuid() != 0, reason="it is root who is told")
async def test_root_outside_of_every_session_is_told_what_to_do(bus: PrivateBus) -> None:
    async with standin_logind(bus.address):
        with running_eventd(bus.address):
            async with bare_agent(bus.address) as client:
                with pytest.raises(CallError, match="or claim the session 'system', as root may") as caught:
                    await once(client)
    assert caught.value.name == "org.guestmux.Error.NotInSession"


async def test_root_may_speak_for_the_machine_and_nobody_for_others(
    host: RawHost, client: BareAgent, logind: StandinLogind
) -> None:
    await logind.control.login("bob", os.getuid() + 5, id="c7")
    await once(client, options={"session": Variant("s", "c1")})
    assert (await host.event(DONE))["session"] == "c1"
    if os.getuid() == 0:
        await once(client, options={"session": Variant("s", "system")})
        assert (await host.event(DONE))["session"] == "system"
    with pytest.raises(CallError, match="is no session of") as caught:
        await once(client, options={"session": Variant("s", "c7")})
    assert caught.value.name == "org.guestmux.Error.NotInSession"


async def test_privacy_holds(host: RawHost, client: BareAgent) -> None:
    assert await once(client, HIDDEN) == 0
    await once(client, data={"secret": "x", "open": "y"})
    event = await host.event(DONE)
    assert event["open"] == "y"
    assert "secret" not in event


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"event": "APP_STARTED"}, "InvalidArgument"),
        ({"event": "SESSION_LOCK"}, "InvalidArgument"),
        ({"event": "__" + "x" * 4000}, "InvalidArgument"),
        ({"event": "__a b"}, "InvalidArgument"),
        ({"name": ""}, "InvalidArgument"),
        ({"name": "n" * 129}, "InvalidArgument"),
        ({"name": "guestmux\u202esession"}, "InvalidArgument"),
        ({"data": {"session": "c9"}}, "InvalidArgument"),
        ({"data": {"seq": 1}}, "InvalidArgument"),
        ({"data": {"user": "root"}}, "InvalidArgument"),
        ({"data": {"text": "x" * 70_000}}, "TooLarge"),
        ({"options": {"commands": Variant("as", ["__a_b"])}}, "InvalidArgument"),
        ({"options": {"session": Variant("u", 1)}}, "InvalidArgument"),
    ],
)
async def test_what_does_not_fit_is_refused(
    host: RawHost, client: BareAgent, given: dict[str, Any], error: str
) -> None:
    with pytest.raises(CallError) as caught:
        await once(client, **given)
    assert caught.value.name == f"org.guestmux.Error.{error}"
    await once(client, data={"last": True})
    assert (await host.event(DONE))["last"] is True


async def test_it_is_no_registration(host: RawHost, client: BareAgent) -> None:
    await once(client)
    await host.event(DONE)
    assert await client.manager("ListAgents") == [[]]
    with pytest.raises(CallError, match="register first"):
        await client.emit(DONE)


async def test_nobody_speaks_under_the_name_of_an_agent(host: RawHost, client: BareAgent) -> None:
    await client.register(NAME)
    with pytest.raises(CallError) as caught:
        await once(client)
    assert caught.value.name == "org.guestmux.Error.AlreadyRegistered"
    await once(client, name="org.example.other")
    assert (await host.event(DONE))["agent"] == "org.example.other"


async def test_a_flood_is_held_back_and_hosts_are_served(
    host: RawHost, client: BareAgent, eventd: Eventd
) -> None:
    outcomes: list[str] = []

    async def flood() -> None:
        try:
            await once(client)
        except CallError as error:
            outcomes.append(error.name)

    while len(outcomes) < 50:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(flood)
            assert "return" in await host.ask("guest-ping")
    assert set(outcomes) == {"org.guestmux.Error.LimitExceeded"}
    assert await eventd.rests()


class _NoLogins:
    """Nobody is in a session."""

    def __init__(self) -> None:
        self.asked = 0

    async def session_of_process(self, pid: int) -> str:
        del pid
        self.asked += 1
        return ""

    async def display_of_user(self, uid: int) -> str:
        del uid
        return ""

    async def known(self, session_id: str) -> None:
        del session_id


async def test_a_script_that_loops_is_stopped_before_logind_is_asked(bus: PrivateBus) -> None:
    logins, now = _NoLogins(), 0.0
    intake = EventIntake(EventLog("e", lambda: 0.0), 1.0)
    async with connect_bus(bus.address) as one, connect_bus(bus.address) as other:
        single = SingleEvents(one, logins, AgentTable(), intake, rate=2.0, clock=lambda: now)

        async def emit(client: Bus) -> str:
            with pytest.raises(Refusal) as caught:
                await single.emit(client.unique_name, NAME, DONE, {}, {})
            return caught.value.error

        # A burst of two seconds, for all of the user's clients together.
        reasons = [await emit(client) for client in (one, other) * 3]
        assert reasons == ["NotInSession"] * 4 + ["LimitExceeded"] * 2
        assert logins.asked == 4
        now = 1.0
        assert await emit(one) == "NotInSession"
