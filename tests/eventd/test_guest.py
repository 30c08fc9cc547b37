"""eventd between a raw host, a stand-in for logind and agents of bare D-Bus calls."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_eventd.event_intake import MAX_EVENT_BYTES
from guestmux_transport.bus_exports import IncomingCall
from guestmux_transport.bus_message import METHOD_RETURN, Message
from guestmux_transport.errors import BusLost, CallError, MethodError
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH, PROPERTIES_INTERFACE
from guestmux_transport.values import Variant
from tests.support.bare_agent import BareAgent, bare_agent, never
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

COMMAND, EVENT = "__org.example_do", "__org.example_DONE"
SERVES: dict[str, Any] = {"commands": ("as", [COMMAND]), "events": ("as", [EVENT])}
USER = "tester"


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        yield logind


@pytest.fixture
async def session(logind: StandinLogind) -> str:
    """A session that this process runs in."""
    session = await logind.control.login(USER, os.getuid())
    await logind.control.add_process(session, os.getpid())
    return session


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind, session: str) -> Any:
    with running_eventd(bus.address) as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> RawHost:
    return await eventd.qmp_host()


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        yield agent


# ---- logind's sessions as events


async def test_the_snapshot_has_the_sessions_and_then_come_changes(
    host: RawHost, logind: StandinLogind, session: str
) -> None:
    sessions = await host.subscribe("SESSION_LOG*")
    assert sessions[session]["user"] == USER
    other = await logind.control.login("bob", 1001, remote=True)
    login = await host.event("SESSION_LOGIN")
    assert (login["session"], login["user"], login["remote"], login["source"]) == (
        other,
        "bob",
        True,
        "verified",
    )
    await logind.control.logout(other)
    assert (await host.event("SESSION_LOGOUT"))["session"] == other
    assert [s["session"] for s in (await host.ask("guest-get-sessions"))["return"]] == [session]


async def test_a_lock_that_the_locker_confirms(host: RawHost, logind: StandinLogind, session: str) -> None:
    await host.subscribe()
    await logind.control.set_locked(session, locked=True)
    assert (await host.event("SESSION_LOCK"))["confirmed"] is True
    assert (await host.ask("guest-get-sessions"))["return"][0]["locked"] is True
    await logind.control.set_locked(session, locked=False)
    assert (await host.event("SESSION_UNLOCK"))["confirmed"] is True


async def test_a_lock_that_nobody_confirms_is_told_as_that(
    host: RawHost, logind: StandinLogind, session: str
) -> None:
    await logind.control.set_locker(session, present=False)
    await host.subscribe()
    for member, event in (("LockSession", "SESSION_LOCK"), ("UnlockSession", "SESSION_UNLOCK")):
        path, interface = "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
        await logind.bus.call("org.freedesktop.login1", path, interface, member, "s", [session])
        told = await host.event(event)
        assert (told["session"], told["confirmed"]) == (session, False)


async def test_idle_and_foreground(host: RawHost, logind: StandinLogind, session: str) -> None:
    await host.subscribe()
    await logind.control.set_idle(session, idle=True)
    assert (await host.event("SESSION_IDLE"))["idle"] is True
    other = await logind.control.login("bob", 1001, seat="seat0", vtnr=2)
    await logind.control.set_active("seat0", other)
    while (await host.event("SESSION_ACTIVE")).get("session") != other:
        pass
    await logind.control.set_active("seat0", "")
    assert "session" not in await host.event("SESSION_ACTIVE")


async def test_shutdown_waits_until_the_event_is_on_the_wire(host: RawHost, logind: StandinLogind) -> None:
    await host.subscribe("POWER_*")
    _delay, holding = await logind.control.shutdown()
    assert holding == []
    assert not host.nothing_more()
    await host.event("POWER_SHUTDOWN")
    await logind.control.resume()


async def test_sleep_and_resume(host: RawHost, logind: StandinLogind) -> None:
    await host.subscribe("POWER_*")
    for _ in range(2):
        _delay, holding = await logind.control.suspend()
        assert holding == []
        await host.event("POWER_SLEEP")
        await logind.control.resume()
        await host.event("POWER_RESUME")


async def test_a_logind_that_restarts_is_read_anew(
    bus: PrivateBus, logind: StandinLogind, host: RawHost
) -> None:
    await host.subscribe("SESSION_*")
    await logind.kill(signal.SIGTERM)
    async with standin_logind(bus.address) as second:
        other = await second.control.login("carol", 1002)
        await host.event("SESSION_LOGOUT")
        assert (await host.event("SESSION_LOGIN"))["user"] == "carol"
        assert [s["session"] for s in (await host.ask("guest-get-sessions"))["return"]] == [other]


# ---- agents


async def test_an_agent_is_called_in_its_session(host: RawHost, agent: BareAgent, session: str) -> None:
    await host.subscribe("AGENT_*")
    assert await agent.register(version=("s", "7"), **SERVES) == session
    registered = await host.event("AGENT_REGISTERED")
    assert (registered["session"], registered["agent"], registered["commands"]) == (
        session,
        "org.example.bare",
        [COMMAND],
    )
    agent.behave = lambda call: {"got": call.body[1]["x"].value, "null": None}
    for selector in (session, f"user:{USER}"):
        reply = await host.ask(COMMAND, session=selector, x=5)
        assert reply["return"] == {"got": 5, "null": None}
    (shown,) = (await host.ask("guest-get-sessions"))["return"]
    assert shown["agents"] == [{"name": "org.example.bare", "version": "7", "commands": [COMMAND]}]
    await agent.manager("UnregisterAgent", "o", agent.path)
    assert (await host.event("AGENT_GONE"))["reason"] == "unregistered"


async def test_an_agent_that_dies_takes_its_call_with_it(
    bus: PrivateBus, eventd: Eventd, host: RawHost, session: str
) -> None:
    await host.subscribe("AGENT_*")
    async with bare_agent(bus.address) as agent:
        await agent.register(**SERVES)

        def die(_call: IncomingCall) -> None:
            agent.bus._socket.close()

        agent.behave = die
        reply = await host.ask(COMMAND, session=session)
    assert reply["error"]["desc"] == "the agent disconnected; the command may or may not have run"
    reply = await host.ask(COMMAND, session=session)
    assert "error" in reply


async def test_an_agent_that_never_answers_is_given_up_and_cancelled(
    host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    agent.behave = lambda _call: never()
    reply = await host.ask(COMMAND, session=session, timeout=0.1)
    assert "did not answer within 0.1 s" in reply["error"]["desc"]
    while not agent.cancelled:
        await anyio.lowlevel.checkpoint()
    agent.behave = lambda _call: 1
    assert (await host.ask(COMMAND, session=session))["return"] == 1


async def test_the_call_of_a_host_that_left_is_cancelled(
    eventd: Eventd, host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    agent.behave = lambda _call: never()
    await host.send(
        b'{"execute": "%s", "arguments": {"session": "%s"}}' % (COMMAND.encode(), session.encode())
    )
    while not agent.called:
        await anyio.lowlevel.checkpoint()
    host.close()
    while not agent.cancelled:
        await anyio.lowlevel.checkpoint()


async def test_one_agent_that_hangs_delays_no_other(
    bus: PrivateBus, host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    agent.behave = lambda _call: never()
    async with bare_agent(bus.address) as other:
        quick = "__org.example_quick"
        await other.register("org.example.other", commands=("as", [quick]))
        request = b'{"exec-oob": "%s", "arguments": {"session": "%s"}}'
        await host.send(request % (COMMAND.encode(), session.encode()) * 100)
        for _ in range(5):
            assert (await host.ask(quick, key="exec-oob", session=session))["return"] == quick


async def test_an_answer_of_a_hundred_megabytes_is_refused(
    host: RawHost, agent: BareAgent, eventd: Eventd, session: str
) -> None:
    await agent.register(**SERVES)
    before = eventd.memory
    agent.behave = lambda _call: "x" * (60 << 20)
    reply = await host.ask(COMMAND, session=session)
    assert "error" in reply
    agent.behave = lambda _call: 1
    assert (await host.ask(COMMAND, session=session))["return"] == 1
    assert eventd.memory - before < 40 << 20


async def test_a_second_answer_is_dropped(host: RawHost, agent: BareAgent, session: str) -> None:
    await agent.register(**SERVES)
    calls: list[IncomingCall] = []
    agent.behave = lambda call: calls.append(call)
    assert (await host.ask(COMMAND, session=session))["return"] is None
    # The daemon lets a reply through for each serial once; an agent that guesses may still try.
    for serial in range(1, 50):
        late = Message(
            kind=METHOD_RETURN, destination=calls[0].sender, reply_serial=serial, signature="s", body=["2"]
        )
        agent.bus._send(late)
    # The bus keeps the order of messages: when this is answered, eventd has seen all of them.
    await property_of(agent, "Version")
    agent.behave = lambda _call: 3
    assert (await host.ask(COMMAND, session=session))["return"] == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org.guestmux.Error.CommandFailed", {"class": "GenericError", "desc": "why not"}),
        ("org.guestmux.Error.CommandNotFound", {"class": "CommandNotFound", "desc": "why not"}),
        ("org.example.Own", {"class": "GenericError", "desc": "agent 'org.example.bare' failed: why not"}),
    ],
)
async def test_an_agents_error_reaches_the_host(
    host: RawHost, agent: BareAgent, session: str, name: str, expected: dict[str, str]
) -> None:
    def fail(_call: IncomingCall) -> None:
        raise MethodError(name, "why not")

    await agent.register(**SERVES)
    agent.behave = fail
    assert (await host.ask(COMMAND, session=session))["error"] == expected


async def test_arguments_are_checked_before_the_agent_sees_them(
    host: RawHost, agent: BareAgent, session: str
) -> None:
    schema = '{"data": {"text": "str", "*n": "int"}, "returns": "str"}'
    await agent.register(commands=("a{ss}", {COMMAND: schema}))
    for arguments, desc in (
        ({}, "Parameter 'text' is missing"),
        ({"text": 1}, "Invalid parameter type for 'text', expected: string"),
        ({"text": "", "foo": 1}, "Parameter 'foo' is unexpected"),
    ):
        assert (await host.ask(COMMAND, session=session, **arguments))["error"]["desc"] == desc
    assert agent.called == []
    for text, desc in (("nul \0", "cannot be called"), ("x" * (33 << 20), "does not pass large messages")):
        assert desc in (await host.ask(COMMAND, session=session, text=text))["error"]["desc"]
    assert (await host.ask(COMMAND, session=session, text="fine"))["return"] == COMMAND


async def test_nesting_that_d_bus_cannot_carry_is_an_error_and_the_bus_stays(
    host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert "nested deeper" in (await host.ask(COMMAND, session=session, x=deep))["error"]["desc"]
    assert (await host.ask(COMMAND, session=session))["return"] == COMMAND


async def test_descriptors_in_an_answer_are_closed(
    host: RawHost, agent: BareAgent, eventd: Eventd, session: str
) -> None:
    def with_descriptors(call: IncomingCall) -> None:
        call.reply_fds.extend(os.dup(0) for _ in range(8))

    await agent.register(**SERVES)
    agent.behave = with_descriptors
    open_files = Path(f"/proc/{eventd.process.pid}/fd")
    before = len(list(open_files.iterdir()))
    assert (await host.ask(COMMAND, session=session))["return"] is None
    assert len(list(open_files.iterdir())) == before


# ---- events of agents


async def test_a_declared_event_is_passed_on_as_a_claim(
    host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    await host.subscribe("__org.*")
    seq = await agent.emit(EVENT, answer=42)
    told = await host.event(EVENT)
    assert (told["seq"], told["source"], told["session"], told["agent"], told["answer"]) == (
        seq,
        "claimed",
        session,
        "org.example.bare",
        42,
    )


async def refused(agent: BareAgent, event: str, **data: Any) -> str:
    with pytest.raises(CallError) as caught:
        await agent.emit(event, **data)
    return caught.value.name.removeprefix("org.guestmux.Error.")


async def test_what_an_agent_may_not_emit(agent: BareAgent, eventd: Eventd) -> None:
    assert await refused(agent, EVENT) == "NotRegistered"
    typed = '{"data": {"n": "int"}}'
    await agent.register(events=("a{ss}", {EVENT: "", "__org.example_N": typed}))
    assert await refused(agent, "__org.example_OTHER") == "Denied"
    assert await refused(agent, "SESSION_LOGIN") == "Denied"
    assert await refused(agent, "__org.example_N", n="x") == "InvalidArgument"
    assert await refused(agent, EVENT, seq=1) == "InvalidArgument"
    assert await refused(agent, EVENT, text="x" * MAX_EVENT_BYTES) == "TooLarge"
    assert await agent.emit(EVENT) > 0


async def test_a_flood_of_events_is_refused_and_others_are_served(bus: PrivateBus, session: str) -> None:
    with running_eventd(bus.address, "--emit-rate", "1") as eventd:
        async with bare_agent(bus.address) as agent, bare_agent(bus.address) as other:
            await agent.register(**SERVES)
            await other.register("org.example.other", events=("as", [EVENT]))
            host = await eventd.qmp_host()
            await host.subscribe("__org.*")
            for _ in range(2000):
                agent.bus.tell(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "Emit", "sa{sv}", [EVENT, {}])
            assert await other.emit(EVENT)
            assert await refused(agent, EVENT) == "LimitExceeded"
            while (await host.event(EVENT))["agent"] != "org.example.other":
                pass


async def test_registering_anew_buys_no_more_events(bus: PrivateBus, session: str) -> None:
    # One event at once, and one more after two seconds.
    with running_eventd(bus.address, "--emit-rate", "0.5"):
        async with bare_agent(bus.address) as agent:
            await agent.register(**SERVES)
            await agent.emit(EVENT)
            await agent.register(**SERVES)
            assert await refused(agent, EVENT) == "LimitExceeded"
            await agent.manager("UnregisterAgent", "o", agent.path)
            await agent.register(**SERVES)
            assert await refused(agent, EVENT) == "LimitExceeded"


async def test_coming_as_another_client_buys_no_more_events(bus: PrivateBus, session: str) -> None:
    with running_eventd(bus.address, "--emit-rate", "0.5") as eventd:
        host = await eventd.qmp_host()
        await host.subscribe("AGENT_GONE")
        async with bare_agent(bus.address) as agent:
            await agent.register(**SERVES)
            await agent.emit(EVENT)
        await host.event("AGENT_GONE")
        async with bare_agent(bus.address) as agent:
            await agent.register("org.example.another", **SERVES)
            assert await refused(agent, EVENT) == "LimitExceeded"


# ---- who may register


async def refusal(agent: BareAgent, *, name: str = "org.example.bare", **properties: Any) -> str:
    with pytest.raises(CallError) as caught:
        await agent.register(name, **properties)
    return caught.value.name.removeprefix("org.guestmux.Error.")


async def test_a_user_of_no_session_is_refused(bus: PrivateBus) -> None:
    async with standin_logind(bus.address) as logind:
        await logind.control.login("somebody", os.getuid() + 1)
        with running_eventd(bus.address):
            async with bare_agent(bus.address) as agent:
                assert await refusal(agent) == "NotInSession"


async def test_an_agent_that_tries_again_and_again_is_logged_once(bus: PrivateBus) -> None:
    async with standin_logind(bus.address) as logind:
        await logind.control.login("somebody", os.getuid() + 1)
        with running_eventd(bus.address) as eventd:
            async with bare_agent(bus.address) as agent:
                for _ in range(3):
                    assert await refusal(agent) == "NotInSession"
                assert await refusal(agent, name="org.example.other") == "NotInSession"
                assert await refusal(agent) == "NotInSession"
            async with bare_agent(bus.address) as another:
                assert await refusal(another) == "NotInSession"
            assert eventd.log.count("agent 'org.example.bare' of :") == 3
            assert eventd.log.count("agent 'org.example.other' of :") == 1


async def test_another_users_session_is_not_to_be_claimed(agent: BareAgent, logind: StandinLogind) -> None:
    theirs = await logind.control.login("bob", 1001)
    assert await refusal(agent, session=("s", theirs)) == "NotInSession"
    assert await refusal(agent, session=("s", "c99")) == "NotInSession"


async def test_a_second_session_of_the_same_user_is_not_the_process_own(
    agent: BareAgent, logind: StandinLogind
) -> None:
    second = await logind.control.login(USER, os.getuid())
    assert await refusal(agent, session=("s", second)) == "NotInSession"


async def test_a_process_outside_any_session_belongs_to_its_users_display(bus: PrivateBus) -> None:
    async with standin_logind(bus.address) as logind:
        first = await logind.control.login(USER, os.getuid(), type="wayland", seat="seat0", vtnr=1)
        second = await logind.control.login(USER, os.getuid(), type="tty")
        with running_eventd(bus.address):
            async with bare_agent(bus.address) as agent:
                assert await agent.register() == first
            async with bare_agent(bus.address) as agent:
                assert await agent.register(session=("s", second)) == second


async def test_wrong_registrations_are_refused_by_name(agent: BareAgent) -> None:
    assert await refusal(agent, name="") == "InvalidArgument"
    assert await refusal(agent, nonsense=("s", "")) == "InvalidArgument"
    assert await refusal(agent, commands=("as", ["guest-ping"])) == "InvalidArgument"
    await agent.register(**SERVES)
    await agent.register()
    with pytest.raises(CallError, match="NotRegistered"):
        await agent.manager("UnregisterAgent", "o", "/elsewhere")


async def test_the_end_of_a_session_ends_its_agents(
    host: RawHost, agent: BareAgent, logind: StandinLogind, session: str
) -> None:
    await agent.register(**SERVES)
    await host.subscribe("AGENT_*")
    await logind.control.logout(session)
    assert (await host.event("AGENT_GONE"))["reason"] == "session-ended"
    assert await refused(agent, EVENT) == "NotRegistered"


async def test_an_agent_that_outlives_its_session_is_released_and_told_of_the_next(
    agent: BareAgent, logind: StandinLogind, session: str
) -> None:
    await agent.register(**SERVES)
    assert await property_of(agent, "Sessions") == [session]
    told: list[list[str]] = []
    await agent.bus.add_signal_handler(
        sender=MANAGER_NAME,
        interface=PROPERTIES_INTERFACE,
        member="PropertiesChanged",
        handler=lambda signal: told.append(signal.body[1]["Sessions"].value),
    )
    await logind.control.logout(session)
    await agent.released.wait()
    second = await logind.control.login(USER, os.getuid())
    while [second] not in told:
        await anyio.lowlevel.checkpoint()
    await logind.control.add_process(second, os.getpid())
    assert await agent.register(**SERVES) == second


async def test_waiting_for_a_login_and_its_agent(bus: PrivateBus) -> None:
    async with standin_logind(bus.address) as logind:
        with running_eventd(bus.address) as eventd:
            host = await eventd.qmp_host()
            assert (
                "no session" in (await host.ask(COMMAND, session=f"user:{USER}", wait=0.01))["error"]["desc"]
            )
            replies: list[dict[str, Any]] = []

            async def wait() -> None:
                replies.append(await host.ask(COMMAND, session=f"user:{USER}", wait=30))

            async with anyio.create_task_group() as tasks, bare_agent(bus.address) as agent:
                tasks.start_soon(wait)
                await logind.control.login(USER, os.getuid(), type="x11", seat="seat0", vtnr=1)
                await agent.register(**SERVES)
                while not replies:
                    await anyio.lowlevel.checkpoint()
            assert replies[0]["return"] == COMMAND


# ---- what agents are told, and restarts


async def property_of(agent: BareAgent, name: str) -> Any:
    reply = await agent.bus.call(
        "org.guestmux.Manager1", MANAGER_PATH, PROPERTIES_INTERFACE, "Get", "ss", [MANAGER_INTERFACE, name]
    )
    value: Variant = reply.body[0]
    return value.value


async def test_agents_see_what_hosts_want(eventd: Eventd, agent: BareAgent) -> None:
    assert await property_of(agent, "HostConnected") is False
    host = await eventd.qmp_host()
    assert await property_of(agent, "HostConnected") is True
    await host.subscribe("APP_*", "SESSION_*")
    assert await property_of(agent, "WantedEvents") == ["APP_*", "SESSION_*"]
    await host.ask("guest-event-unsubscribe", events=["APP_*"])
    assert await property_of(agent, "WantedEvents") == ["SESSION_*"]
    host.close()
    while await property_of(agent, "WantedEvents"):
        pass


async def test_a_restarted_eventd_takes_agents_again(
    eventd: Eventd, host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    assert eventd.stop() == 0
    eventd.start()
    fresh = await eventd.qmp_host()
    assert (await fresh.ask("guest-get-sessions"))["return"][0]["agents"] == []
    assert await agent.register(**SERVES) == session
    assert (await fresh.ask(COMMAND, session=session))["return"] == COMMAND


async def test_when_the_bus_dies_agents_are_gone_and_a_pending_call_ends(
    bus: PrivateBus, eventd: Eventd, host: RawHost, agent: BareAgent, session: str
) -> None:
    await agent.register(**SERVES)
    await host.subscribe("AGENT_*")

    def kill(_call: IncomingCall) -> None:
        bus.kill()

    agent.behave = kill
    await host.send(
        b'{"execute": "%s", "arguments": {"session": "%s"}, "id": 1}' % (COMMAND.encode(), session.encode())
    )
    messages = [await host.message(), await host.message()]
    assert {message.get("event") for message in messages} == {"AGENT_GONE", None}
    (reply,) = [message for message in messages if message.get("id") == 1]
    assert reply["error"]["desc"] == "the bus to the agents was lost; the command may or may not have run"
    assert (await host.ask("guest-ping"))["return"] == {}
    with pytest.raises(BusLost):
        await agent.emit(EVENT)
    bus.restart()
