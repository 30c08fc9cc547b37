"""A real eventd with privacy tables: what they withhold is in no event, whichever way it came, and on no disk."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guestmux_protocol.mux import Ack, Event, Nak, encode
from guestmux_transport.values import Variant
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.channel_agent import channel_of
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.mux_end import MuxEnd
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SPOKE, COUNTED, HIDDEN = "__org.example_SPOKE", "__org.example_COUNTED", "__org.example_HIDDEN"
SERVES: dict[str, Any] = {
    "events": (
        "a{ss}",
        {SPOKE: '{"data": {"*whom": "str", "*text": "str"}}', COUNTED: "", HIDDEN: '{"data": {"*n": "int"}}'},
    )
}
TABLES = f"""
[[privacy]]
events = ["{SPOKE}"]
withhold = ["text", "user"]
[[privacy]]
events = ["{COUNTED}"]
withhold = ["*"]
[[privacy]]
events = ["{HIDDEN}", "SESSION_IDLE"]
users = ["tester"]
drop = true
[[privacy]]
events = ["SESSION_LOGIN"]
users = ["bob"]
withhold = ["remote-host", "user"]
"""


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        yield logind


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir(mode=0o700)
    return tmp_path / "journal"


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind, tmp_path: Path, journal: Path) -> Any:
    config = tmp_path / "eventd.toml"
    config.write_text(f'journal-directory = "{journal}"\n{TABLES}')
    with running_eventd(bus.address, "--config", str(config)) as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> RawHost:
    return await eventd.qmp_host()


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        await agent.register(**SERVES)
        yield agent


@pytest.fixture
async def channel(agent: BareAgent) -> AsyncIterator[MuxEnd]:
    channel = await channel_of(agent)
    yield channel
    channel.close()


def without_place(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("epoch", "seq")}


LEFT = {"source": "claimed", "session": "c1", "agent": "org.example.bare", "whom": "bob"}


async def test_what_agents_emit_by_d_bus(host: RawHost, agent: BareAgent) -> None:
    await host.subscribe("__*")
    number = await agent.emit(SPOKE, whom="bob", text="my secret")
    assert await agent.emit(HIDDEN) == 0
    assert await agent.emit(COUNTED, anything={"at": "all"}) == number + 1
    assert without_place(await host.event(SPOKE)) == LEFT
    assert without_place(await host.event(COUNTED)) == {"source": "claimed", "session": "c1"}


async def test_what_agents_send_over_a_channel(host: RawHost, channel: MuxEnd) -> None:
    await host.subscribe("__*")
    sent: list[tuple[str, bytes]] = [
        (SPOKE, b'{"whom": "bob", "text": "my secret"}'),
        (HIDDEN, b"{}"),
        (HIDDEN, b'{"n": "no number"}'),
        (HIDDEN, b'{"n": 1}'),
        (COUNTED, b'{"anything": {"at": "all"}}'),
        (SPOKE, b"{}"),
    ]
    for seq, (name, text) in enumerate(sent, 1):
        await channel.write(encode(Event(seq, name, text, 0)))
    assert without_place(await host.event(SPOKE)) == LEFT
    counted = await host.event(COUNTED)
    assert without_place(counted) == {"source": "claimed", "session": "c1"}
    assert (await host.event(SPOKE))["seq"] == counted["seq"] + 1
    # What is dropped is checked all the same, and answered with the number of no event.
    assert ((await channel.next(Nak)).seq) == 3
    numbers: dict[int, int | None] = {}
    while 6 not in numbers:
        ack = await channel.next(Ack)
        numbers[ack.seq] = ack.number
    assert numbers == {1: counted["seq"] - 1, 2: 0, 4: 0, 6: counted["seq"] + 1}


async def test_what_eventd_sees_itself(
    eventd: Eventd, host: RawHost, logind: StandinLogind, journal: Path
) -> None:
    await host.subscribe("SESSION_*")
    for user, uid in (("alice", 5001), ("bob", 5002)):
        await logind.control.login(user, uid, remote=True, remote_host=f"laptop-of-{user}")
    alice, bob = await host.event("SESSION_LOGIN"), await host.event("SESSION_LOGIN")
    assert (alice["user"], alice["remote-host"]) == ("alice", "laptop-of-alice")
    assert (bob.get("user"), bob["uid"], bob.get("remote-host")) == (None, 5002, None)
    await logind.control.set_idle("c1", idle=True)
    await logind.control.set_idle(alice["session"], idle=True)
    assert (await host.event("SESSION_IDLE"))["session"] == alice["session"]
    sessions = await host.subscribe("SESSION_*")
    assert sessions[alice["session"]]["remote-host"] == "laptop-of-alice"
    assert (sessions[bob["session"]]["user"], "remote-host" in sessions[bob["session"]]) == ("", False)
    eventd.stop()
    stored = b"".join(file.read_bytes() for file in journal.iterdir())
    assert b"laptop-of-alice" in stored
    assert b"laptop-of-bob" not in stored
    eventd.start()


async def test_agents_are_told_what_they_need_not_find_out(bus: PrivateBus, eventd: Eventd) -> None:
    async with bare_agent(bus.address) as agent:
        properties = {name: Variant(*value) for name, value in SERVES.items()}
        _, granted = await agent.manager(
            "RegisterAgent", "osa{sv}", agent.path, "org.example.told", properties
        )
    assert granted["withheld"] == Variant("a{sas}", {SPOKE: ["text", "user"], COUNTED: ["*"]})
    assert granted["dropped"] == Variant("as", [HIDDEN])


async def test_the_schema_says_what_need_not_be_there(host: RawHost) -> None:
    entities = {entity["name"]: entity for entity in (await host.ask("guest-query-schema"))["return"]}
    members = {m["name"]: m for m in entities[entities["SESSION_LOGIN"]["arg-type"]]["members"]}
    assert "default" in members["user"]
    assert "default" not in members["uid"]
