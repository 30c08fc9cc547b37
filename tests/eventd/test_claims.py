"""Who says that a session is locked or idle: logind and agents, one event a change; by the bus as well."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.claims import AGREE_SECONDS, MAX_CLAIMS, Claims
from guestmux_eventd.identity import Identity
from guestmux_eventd.refusal import Refusal
from guestmux_eventd.session_table import Emission, SessionTable
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.events import VERIFIED
from guestmux_protocol.sessions import Session
from guestmux_transport.errors import CallError
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.standin_logind import StandinLogind, standin_logind

ALICE = Session(session="c1", user="alice", uid=1000, login_time=1.0)
SAVER, OTHER = "org.gnome.ScreenSaver", "org.freedesktop.ScreenSaver"


class Timers:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def later(self, seconds: float, callback: Callable[[], None]) -> Timers:
        assert seconds == AGREE_SECONDS
        self.waiting.append(callback)
        return self

    def cancel(self) -> None:
        self.waiting.clear()

    def pass_by(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Rig:
    """The claims about alice's session, and what hosts are told."""

    def __init__(self) -> None:
        self.sessions = SessionTable()
        self.sessions.add(ALICE)
        self.timers = Timers()
        self.told: list[tuple[Any, ...]] = []
        self.claims = Claims(self.sessions, self.take, self.timers.later)

    def take(self, emissions: list[Emission], source: str = VERIFIED) -> None:
        for name, data in emissions:
            built = msgspec.to_builtins(data)
            self.told.append((name, source, built.get("said-by"), built.get("values")))

    def agent(self, name: str = "guestmux-session", uid: int = 1000, session: str = "c1") -> Agent:
        bucket = TokenBucket(1.0, 1.0, lambda: 0.0)
        return Agent(":1.1", "/a", name, "1", session, Identity(uid, 1, "alice"), bucket)

    def says(self, what: str = "locked", /, **values: bool) -> None:
        names = {"saver": SAVER, "other": OTHER}
        claims = {names.get(name, name): value for name, value in values.items()}
        self.claims.claim(self.agent(), what, claims)

    def logind(self, **changes: bool) -> None:
        self.claims.publish(self.sessions.change("c1", changes))

    def heard(self) -> list[tuple[Any, ...]]:
        told, self.told = self.told, []
        return told


@pytest.fixture
def rig() -> Rig:
    return Rig()


# ---- locks


def test_without_agents_logind_is_told_at_once(rig: Rig) -> None:
    rig.logind(locked=True)
    rig.logind(locked=False)
    assert rig.heard() == [
        ("SESSION_LOCK", "verified", ["logind"], None),
        ("SESSION_UNLOCK", "verified", ["logind"], None),
    ]


def test_a_lock_that_all_tell_is_one_event(rig: Rig) -> None:
    rig.says(saver=False)
    rig.logind(locked=True)
    assert rig.heard() == []
    rig.says(saver=True)
    assert rig.heard() == [("SESSION_LOCK", "verified", ["logind", SAVER], None)]
    rig.timers.pass_by()
    rig.says(saver=False)
    rig.logind(locked=False)
    rig.timers.pass_by()
    assert rig.heard() == [("SESSION_UNLOCK", "verified", ["logind", SAVER], None)]


def test_a_screensaver_that_is_first_waits_for_logind(rig: Rig) -> None:
    rig.says(saver=True)
    rig.logind(locked=True)
    rig.timers.pass_by()
    assert rig.heard() == [("SESSION_LOCK", "verified", ["logind", SAVER], None)]


def test_who_disagrees_for_long_is_told_of_with_both_values(rig: Rig) -> None:
    rig.says(saver=False, other=True)
    rig.timers.pass_by()
    assert rig.heard() == [("SESSION_LOCK", "claimed", [OTHER], {"logind": False, SAVER: False, OTHER: True})]
    rig.logind(locked=True)
    rig.timers.pass_by()
    values = {"logind": True, SAVER: False, OTHER: True}
    assert rig.heard() == [("SESSION_LOCK", "verified", ["logind", OTHER], values)]


def test_a_lock_that_logind_knows_nothing_of_comes_once_and_ends_once(rig: Rig) -> None:
    for _ in range(3):
        rig.says(saver=True)
        rig.timers.pass_by()
    values = {"logind": False, SAVER: True}
    assert rig.heard() == [("SESSION_LOCK", "claimed", [SAVER], values)]
    for _ in range(3):
        rig.says(saver=False)
        rig.timers.pass_by()
    assert rig.heard() == [("SESSION_UNLOCK", "claimed", ["logind", SAVER], None)]


def test_a_claim_keeps_no_verified_event_back(rig: Rig) -> None:
    rig.says(saver=True)
    rig.timers.pass_by()
    rig.logind(locked=True)
    rig.logind(locked=False)
    rig.timers.pass_by()
    names = [(name, source) for name, source, _by, _values in rig.heard()]
    assert names == [
        ("SESSION_LOCK", "claimed"),
        ("SESSION_LOCK", "verified"),
        ("SESSION_UNLOCK", "verified"),
    ]
    # It goes on claiming what logind says is over: that is no new lock.
    rig.says(saver=True)
    rig.timers.pass_by()
    assert rig.heard() == []
    rig.says(saver=False)
    rig.says(saver=True)
    rig.timers.pass_by()
    assert rig.heard() == [("SESSION_LOCK", "claimed", [SAVER], {"logind": False, SAVER: True})]


def test_a_lock_and_unlock_within_the_wait_are_both_told(rig: Rig) -> None:
    rig.says(saver=False)
    rig.logind(locked=True)
    rig.logind(locked=False)
    assert [name for name, *_rest in rig.heard()] == ["SESSION_LOCK", "SESSION_UNLOCK"]


def test_a_claim_that_changes_all_the_time_makes_one_lock_a_second_at_most(rig: Rig) -> None:
    for _second in range(3):
        for step in range(1001):
            rig.says(saver=step % 2 == 0)
        assert len(rig.timers.waiting) == 1
        rig.timers.pass_by()
    names = [name for name, *_rest in rig.heard()]
    assert names == ["SESSION_LOCK", "SESSION_UNLOCK", "SESSION_LOCK", "SESSION_UNLOCK", "SESSION_LOCK"]


def test_an_agent_that_leaves_and_comes_back_changes_nothing(rig: Rig) -> None:
    rig.says(saver=True)
    rig.timers.pass_by()
    rig.heard()
    rig.claims.agent_gone(rig.agent())
    rig.says(saver=True)
    rig.says()
    rig.timers.pass_by()
    assert rig.heard() == []
    # Without it nobody has to agree.
    rig.logind(locked=True)
    assert rig.heard() == [("SESSION_LOCK", "verified", ["logind"], None)]


def test_an_unconfirmed_lock_is_told_unless_an_agent_knows_better(rig: Rig) -> None:
    rig.claims.publish(rig.sessions.lock_unconfirmed("c1"))
    rig.claims.publish(rig.sessions.unlock_requested("c1"))
    assert rig.heard() == [
        ("SESSION_LOCK", "verified", None, None),
        ("SESSION_UNLOCK", "verified", None, None),
    ]
    rig.says(saver=True)
    rig.claims.publish(rig.sessions.lock_unconfirmed("c1"))
    rig.timers.pass_by()
    rig.says(saver=False)
    rig.claims.publish(rig.sessions.unlock_requested("c1"))
    rig.timers.pass_by()
    assert [(name, source) for name, source, *_rest in rig.heard()] == [
        ("SESSION_LOCK", "claimed"),
        ("SESSION_UNLOCK", "claimed"),
    ]


def test_what_waits_is_told_before_the_session_ends_and_before_eventd_does(rig: Rig) -> None:
    rig.says(saver=False)
    rig.logind(locked=True)
    rig.claims.publish(rig.sessions.remove("c1"))
    assert [name for name, *_rest in rig.heard()] == ["SESSION_LOCK", "SESSION_LOGOUT"]
    assert rig.timers.waiting == []
    rig.sessions.add(ALICE)
    rig.says(saver=False)
    rig.logind(locked=True)
    rig.claims.tell_now()
    assert [name for name, *_rest in rig.heard()] == ["SESSION_LOCK"]
    rig.timers.pass_by()
    assert rig.heard() == []


def test_a_session_that_ended_while_something_waited(rig: Rig) -> None:
    rig.says(saver=True)
    (callback,) = rig.timers.waiting
    rig.claims.publish(rig.sessions.remove("c1"))
    rig.heard()
    callback()
    assert rig.heard() == []


# ---- idle


def test_idle_is_told_on_an_agents_word_where_logind_never_was(rig: Rig) -> None:
    rig.says("idle", x11=True)
    rig.timers.pass_by()
    rig.says("idle", x11=False)
    rig.timers.pass_by()
    assert rig.heard() == [
        ("SESSION_IDLE", "claimed", ["x11"], None),
        ("SESSION_IDLE", "claimed", ["logind", "x11"], None),
    ]


def test_a_desktop_that_tells_logind_is_believed_alone(rig: Rig) -> None:
    rig.says("idle", x11=True)
    rig.logind(idle=True)
    rig.timers.pass_by()
    assert rig.heard() == [("SESSION_IDLE", "verified", ["logind", "x11"], None)]
    rig.says("idle", x11=False)
    rig.logind(idle=False)
    rig.says("idle", x11=True)
    rig.timers.pass_by()
    assert rig.heard() == [("SESSION_IDLE", "verified", ["logind", "x11"], None)]


def test_other_events_pass(rig: Rig) -> None:
    rig.claims.publish(rig.sessions.add(msgspec.structs.replace(ALICE, session="c2")))
    rig.claims.publish([])
    assert [name for name, *_rest in rig.heard()] == ["SESSION_LOGIN"]


# ---- who may say what


@pytest.mark.parametrize(
    ("agent", "what", "claims", "error"),
    [
        ({"uid": 1001}, "locked", {SAVER: True}, "Denied"),
        ({"session": "system"}, "locked", {SAVER: True}, "Denied"),
        ({}, "asleep", {SAVER: True}, "InvalidArgument"),
        ({}, "locked", {"logind": True}, "InvalidArgument"),
        ({}, "locked", {"": True}, "InvalidArgument"),
        ({}, "locked", {"a\nb": True}, "InvalidArgument"),
        ({}, "locked", {"x" * 65: True}, "InvalidArgument"),
        ({}, "locked", {str(n): True for n in range(MAX_CLAIMS + 1)}, "InvalidArgument"),
    ],
)
def test_what_is_refused(
    rig: Rig, agent: dict[str, Any], what: str, claims: dict[str, bool], error: str
) -> None:
    with pytest.raises(Refusal) as caught:
        rig.claims.claim(rig.agent(**agent), what, claims)
    assert caught.value.error == error
    rig.timers.pass_by()
    assert rig.heard() == []


# ---- with a real eventd


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        await logind.control.login("tester", os.getuid(), id="c1")
        yield logind


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind) -> Any:
    with running_eventd(bus.address) as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> RawHost:
    host = await eventd.qmp_host()
    await host.subscribe("SESSION_*")
    return host


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        yield agent


@pytest.mark.anyio
async def test_an_agents_claim_over_the_bus(host: RawHost, agent: BareAgent, logind: StandinLogind) -> None:
    with pytest.raises(CallError, match="register first"):
        await agent.manager("Claim", "sa{sb}", "locked", {SAVER: True})
    await agent.register()
    await agent.manager("Claim", "sa{sb}", "locked", {SAVER: True})
    event = await host.event("SESSION_LOCK")
    assert (event["source"], event["session"], event["user"]) == ("claimed", "c1", "tester")
    assert (event["said-by"], event["values"]) == ([SAVER], {"logind": False, SAVER: True})
    (session,) = (await host.ask("guest-get-sessions"))["return"]
    assert (session["locked"], session["claimed"]) == (False, ["locked"])
    await logind.control.set_locked("c1", locked=True)
    event = await host.event("SESSION_LOCK")
    assert (event["source"], event["said-by"]) == ("verified", ["logind", SAVER])
    assert "values" not in event
    (session,) = (await host.ask("guest-get-sessions"))["return"]
    assert session["locked"] is True
    assert "claimed" not in session
    with pytest.raises(CallError, match="can be claimed"):
        await agent.manager("Claim", "sa{sb}", "happy", {SAVER: True})


@pytest.mark.anyio
async def test_a_lock_is_told_before_the_machine_sleeps(
    host: RawHost, agent: BareAgent, logind: StandinLogind
) -> None:
    await host.subscribe("SESSION_LOCK", "POWER_SLEEP")
    await agent.register()
    await agent.manager("Claim", "sa{sb}", "locked", {SAVER: False})
    await logind.control.set_locked("c1", locked=True)
    # What eventd answers after it, it has read before.
    await agent.manager("ListAgents")
    await logind.control.suspend()
    assert (await host.event("SESSION_LOCK"))["values"] == {"logind": True, SAVER: False}
    assert await host.event("POWER_SLEEP")


@pytest.mark.anyio
async def test_who_registers_anew_by_another_name_takes_its_claims_back(
    host: RawHost, agent: BareAgent, logind: StandinLogind
) -> None:
    await host.subscribe("SESSION_LOCK")
    for number in range(3):
        await agent.register(f"org.example.a{number}")
        await agent.manager("Claim", "sa{sb}", "locked", {f"{SAVER}{number}": False})
    await logind.control.set_locked("c1", locked=True)
    assert (await host.event("SESSION_LOCK"))["values"] == {"logind": True, f"{SAVER}2": False}


@pytest.mark.anyio
async def test_agents_of_two_sessions_claim_by_connections_of_their_own(
    host: RawHost, agent: BareAgent, logind: StandinLogind
) -> None:
    await host.subscribe("SESSION_LOCK")
    await logind.control.login("tester", os.getuid(), id="c2")
    await agent.register(session=("s", "c1"))
    agent.path = "/org/example/Other"
    assert await agent.register("org.example.other", session=("s", "c2")) == "c2"
    with pytest.raises(CallError, match="agents of several sessions"):
        await agent.manager("Claim", "sa{sb}", "locked", {SAVER: True})
    await agent.manager("UnregisterAgent", "o", agent.path)
    await agent.manager("Claim", "sa{sb}", "locked", {SAVER: True})
    assert (await host.event("SESSION_LOCK"))["session"] == "c1"
