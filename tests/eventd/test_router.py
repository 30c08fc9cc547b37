"""The router: who gets a command, whose numbers it speaks in, and when nobody gets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest

from guestmux_eventd.caller import Caller
from guestmux_eventd.credit_pool import CreditPool
from guestmux_eventd.handle_table import MAX_KEPT, MAX_OWN
from guestmux_eventd.policy import Policy, PolicyRule
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.router import CALL_TIMEOUT, LONG_TIMEOUT
from guestmux_eventd.stream_relay import StreamEnd, StreamRelay
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR, Request
from guestmux_protocol.mux import Multiplexer
from tests.support.fake_agents import FakeAgents, fake_agent

if TYPE_CHECKING:
    from guestmux_eventd.agent_channel import AgentChannel

pytestmark = pytest.mark.anyio

FILES = ("guest-file-open", "guest-file-read", "guest-file-close")
EXEC = ("guest-exec", "guest-exec-status", "guest-exec-close")
FREEZE = (
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
)


@asynccontextmanager
async def running(guest: FakeAgents) -> AsyncIterator[FakeAgents]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guest.router.run)
        yield guest
        tasks.cancel_scope.cancel()


@pytest.fixture
async def guest() -> AsyncIterator[FakeAgents]:
    guest = FakeAgents()
    guest.behave |= {
        "guest-file-open": lambda path, **_mode: len(path),
        "guest-file-read": lambda handle, **_count: {"count": 0, "buf-b64": "", "eof": True},
        "guest-file-close": lambda handle: {},
        "guest-exec": lambda path, **_others: {"pid": 77},
        "guest-exec-status": lambda pid: {"exited": True, "exitcode": 0},
        "guest-exec-close": lambda pid: {},
        "guest-fsfreeze-status": lambda: "thawed",
        "guest-fsfreeze-freeze": lambda: 3,
        "guest-fsfreeze-freeze-list": lambda **_mountpoints: 0,
        "guest-fsfreeze-thaw": lambda: 3,
    }
    async with running(guest):
        yield guest


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


async def refused(guest: FakeAgents, caller: Caller, command: str, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(CommandFailure) as caught:
        await guest.ask(caller, command, **arguments)
    return caught.value.error_class, caught.value.desc


async def test_without_a_session_the_system_agent_serves(guest: FakeAgents) -> None:
    guest.add("c1", *FILES)
    guest.add("system", *FILES)
    await guest.ask(guest.qmp, "guest-file-open", path="/x")
    await guest.ask(guest.qmp, "guest-file-open", path="/x", session="c1")
    assert [call[0] for call in guest.calls] == ["agent-system", "agent-c1"]


async def test_what_nobody_serves_is_not_found_in_qemu_ga_s_words(guest: FakeAgents) -> None:
    text = "The command guest-exec has not been found"
    assert await refused(guest, guest.qga, "guest-exec", path="/x") == (COMMAND_NOT_FOUND, text)
    text = "The command guest-file-read has not been found"
    assert await refused(guest, guest.qga, "guest-file-read", nonsense=1) == (COMMAND_NOT_FOUND, text)


async def test_what_only_sessions_serve_wants_one_named(guest: FakeAgents) -> None:
    guest.add("c1", *EXEC)
    error_class, desc = await refused(guest, guest.qga, "guest-exec", path="/x")
    assert error_class == COMMAND_NOT_FOUND
    assert "name it with 'session'" in desc
    assert (await refused(guest, guest.qga, "session-lock"))[0] == GENERIC_ERROR


async def test_wrong_arguments_get_qemu_s_text_before_any_agent_is_asked(guest: FakeAgents) -> None:
    guest.add("system", *FILES)
    assert await refused(guest, guest.qga, "guest-file-open") == (
        GENERIC_ERROR,
        "Parameter 'path' is missing",
    )
    desc = "Parameter 'foo' is unexpected"
    assert await refused(guest, guest.qga, "guest-file-read", handle=1, foo=2) == (GENERIC_ERROR, desc)
    desc = "Invalid parameter type for 'handle', expected: integer"
    assert await refused(guest, guest.qga, "guest-file-read", handle=True) == (GENERIC_ERROR, desc)
    assert guest.calls == []


async def test_a_file_is_found_by_its_number_without_its_session(guest: FakeAgents) -> None:
    guest.add("c1", *FILES)
    guest.add("system", *FILES)
    handle = await guest.ask(guest.qmp, "guest-file-open", path="/xy", session="c1")
    assert handle > 1000
    await guest.ask(guest.qmp, "guest-file-read", handle=handle, count=5)
    assert guest.calls[-1] == ("agent-c1", "guest-file-read", {"handle": 3, "count": 5})
    await guest.ask(guest.qmp, "guest-file-read", handle=handle, session="c1")
    await guest.ask(guest.qmp, "guest-file-close", handle=handle)
    assert guest.calls[-1] == ("agent-c1", "guest-file-close", {"handle": 3})
    text = f"handle '{handle}' has not been found"
    assert await refused(guest, guest.qmp, "guest-file-read", handle=handle) == (GENERIC_ERROR, text)


async def test_a_file_of_another_session_host_or_dialect_is_unknown(guest: FakeAgents) -> None:
    guest.add("c1", *FILES)
    guest.add("system", *FILES)
    handle = await guest.ask(guest.qmp, "guest-file-open", path="/x")
    unknown = (GENERIC_ERROR, f"handle '{handle}' has not been found")
    assert await refused(guest, guest.qmp, "guest-file-read", handle=handle, session="c1") == unknown
    assert await refused(guest, Caller("qmp-port", "qmp"), "guest-file-read", handle=handle) == unknown
    assert await refused(guest, guest.qga, "guest-file-close", handle=handle) == unknown
    assert len(guest.calls) == 1


async def test_on_a_qga_port_a_process_outlives_its_host_and_ends_with_its_status(guest: FakeAgents) -> None:
    guest.add("system", *EXEC)
    pid = (await guest.ask(guest.qga, "guest-exec", path="/x"))["pid"]
    guest.router.host_left(guest.qga)
    guest.behave["guest-exec-status"] = lambda pid: {"exited": False}
    assert await guest.ask(Caller("qga-port", "qga"), "guest-exec-status", pid=pid) == {"exited": False}
    guest.behave["guest-exec-status"] = lambda pid: {"exited": True}
    await guest.ask(guest.qga, "guest-exec-status", pid=pid)
    text = f"PID {pid} does not exist"
    assert await refused(guest, guest.qga, "guest-exec-status", pid=pid) == (GENERIC_ERROR, text)
    assert (await refused(guest, Caller("other", "qga"), "guest-exec-status", pid=pid))[1] == text


async def test_on_a_qmp_port_all_is_let_go_when_the_host_leaves(guest: FakeAgents) -> None:
    guest.add("system", *FILES, *EXEC)
    await guest.ask(guest.qmp, "guest-file-open", path="/xyz")
    await guest.ask(guest.qmp, "guest-exec", path="/x")
    await guest.ask(Caller("qmp-port", "qmp"), "guest-file-open", path="/x")
    guest.calls.clear()
    guest.router.host_left(guest.qmp)
    await until(lambda: len(guest.calls) == 2)
    assert {(command, *arguments.items()) for _agent, command, arguments in guest.calls} == {
        ("guest-file-close", ("handle", 4)),
        ("guest-exec-close", ("pid", 77)),
    }


async def test_an_agent_that_fails_to_let_go_hinders_nobody(guest: FakeAgents) -> None:
    def fail(**_arguments: Any) -> None:
        raise CommandFailure("no")

    guest.behave["guest-file-close"] = fail
    guest.add("system", "guest-file-open", "guest-file-close")
    guest.add("c1", "guest-file-open")
    await guest.ask(guest.qmp, "guest-file-open", path="/x")
    await guest.ask(guest.qmp, "guest-file-open", path="/xx")
    await guest.ask(guest.qmp, "guest-file-open", path="/x", session="c1")
    guest.router.host_left(guest.qmp)
    await until(lambda: len(guest.calls) == 5)


async def test_a_qga_port_keeps_a_bounded_number_and_closes_the_longest_idle(guest: FakeAgents) -> None:
    guest.add("system", *FILES)
    handles = [
        await guest.ask(guest.qga, "guest-file-open", path="/" * number)
        for number in range(1, MAX_KEPT["file"] + 2)
    ]
    await until(lambda: guest.calls[-1] == ("agent-system", "guest-file-close", {"handle": 1}))
    assert "has not been found" in (await refused(guest, guest.qga, "guest-file-read", handle=handles[0]))[1]
    await guest.ask(guest.qga, "guest-file-read", handle=handles[1])


async def test_a_qmp_host_is_refused_one_too_many(guest: FakeAgents) -> None:
    guest.add("system", *FILES)
    for number in range(MAX_OWN):
        await guest.ask(guest.qmp, "guest-file-open", path="/" * (number + 1))
    assert (
        "guest-file-close or guest-exec-close"
        in (await refused(guest, guest.qmp, "guest-file-open", path="/"))[1]
    )


async def test_an_agent_that_registers_anew_keeps_its_files_and_one_that_left_does_not(
    guest: FakeAgents,
) -> None:
    first = guest.add("system", *FILES)
    handle = await guest.ask(guest.qmp, "guest-file-open", path="/x")
    again = fake_agent("system", "guest-file-read")
    guest.agents.add(again)
    await guest.ask(guest.qmp, "guest-file-read", handle=handle)
    error = await refused(guest, guest.qmp, "guest-file-close", handle=handle)
    assert error == (COMMAND_NOT_FOUND, "The command guest-file-close has not been found")
    guest.agents.remove(again, "disconnected")
    assert guest.agents.now(first) is None
    guest.add("system", *FILES)
    desc = (await refused(guest, guest.qmp, "guest-file-read", handle=handle))[1]
    assert desc == f"agent 'agent-system' of session 'system' is gone, and file {handle} with it"
    assert "has not been found" in (await refused(guest, guest.qmp, "guest-file-read", handle=handle))[1]


async def test_policy_refuses_by_port_and_class_in_qemu_ga_s_words() -> None:
    rules = [
        PolicyRule(port="qga*", deny=["guest-exec"]),
        PolicyRule(session_class=["user"], deny=["guest-file-*"]),
    ]
    guest = FakeAgents(Policy(rules))
    guest.behave |= {"guest-exec": lambda path: {"pid": 1}, "guest-file-open": lambda path: 1}
    guest.add("system", *EXEC, *FILES)
    guest.add("c1", *FILES)
    text = "The command guest-exec has been disabled: the command is not allowed"
    assert await refused(guest, guest.qga, "guest-exec", path="/x") == (COMMAND_NOT_FOUND, text)
    async with running(guest):
        assert await guest.ask(guest.qmp, "guest-exec", path="/x")
        assert await guest.ask(guest.qmp, "guest-file-open", path="/x")
    assert "not allowed" in (await refused(guest, guest.qmp, "guest-file-open", path="/x", session="c1"))[1]


async def test_while_frozen_only_status_and_thaw_go_to_an_agent(guest: FakeAgents) -> None:
    guest.add("system", *FREEZE, *EXEC)
    guest.add("c1", *FILES)
    during: list[bool] = []

    def freeze() -> int:
        during.append(guest.gate.frozen)
        return 3

    guest.behave["guest-fsfreeze-freeze"] = freeze
    guest.behave["guest-fsfreeze-status"] = lambda: "frozen" if guest.gate.frozen else "thawed"
    assert await guest.ask(guest.qga, "guest-fsfreeze-freeze") == 3
    assert during == [True]
    text = "The command guest-exec has been disabled: the agent is in frozen state"
    assert await refused(guest, guest.qmp, "guest-exec", path="/x") == (COMMAND_NOT_FOUND, text)
    assert "frozen" in (await refused(guest, guest.qmp, "guest-file-open", path="/x", session="c1"))[1]
    assert "frozen" in (await refused(guest, guest.qmp, "guest-fsfreeze-freeze"))[1]
    assert await guest.ask(guest.qga, "guest-fsfreeze-status") == "frozen"
    assert await guest.ask(guest.qga, "guest-fsfreeze-thaw") == 3
    await guest.ask(guest.qmp, "guest-exec", path="/x")
    await guest.ask(guest.qmp, "guest-fsfreeze-freeze-list", mountpoints=[])
    assert not guest.gate.frozen


async def stream_refused(guest: FakeAgents, port: str, command: str, **arguments: Any) -> str:
    relay = StreamRelay(StreamEnd(Multiplexer("server"), 1, lambda: None, "host"), CreditPool(), CreditPool())
    with pytest.raises(CommandFailure) as caught:
        await guest.router.open(Request(command, {"session": "c1", **arguments}), Caller(port, "mux"), relay)
    return caught.value.desc


async def test_streams_are_refused_for_the_reasons_for_which_calls_are() -> None:
    guest = FakeAgents(Policy([PolicyRule(port="denied", deny=["guest-file-*"])]))
    agent = guest.add("c1", "guest-file-upload", "guest-exec-attach")
    agent.presence.channel = cast("AgentChannel", object())
    guest.agents.channel_ready(agent)
    assert "'ranges'" in await stream_refused(guest, "allowed", "guest-file-upload", path="/x", ranges=5)
    assert "not allowed" in await stream_refused(guest, "denied", "guest-file-upload", path="/x")
    assert "does not exist" in await stream_refused(
        guest, "allowed", "guest-exec-attach", pid=77, channel="stdio"
    )
    guest.gate.freezing()
    assert "frozen" in await stream_refused(guest, "allowed", "guest-file-upload", path="/x")


async def test_a_stream_that_waited_for_its_agent_is_checked_when_that_is_there(guest: FakeAgents) -> None:
    agent = guest.add("c1", "guest-file-upload")

    async def wait() -> None:
        assert "frozen" in await stream_refused(guest, "port", "guest-file-upload", path="/x", wait=5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        guest.gate.freezing()
        agent.presence.channel = cast("AgentChannel", object())
        guest.agents.channel_ready(agent)
        guest.changes.notify()


async def test_a_session_s_agent_cannot_shut_the_gate(guest: FakeAgents) -> None:
    guest.add("c1", *FREEZE)
    await guest.ask(guest.qmp, "guest-fsfreeze-freeze", session="c1")
    assert not guest.gate.frozen


async def test_a_system_agent_that_comes_is_asked_whether_it_froze(guest: FakeAgents) -> None:
    guest.behave["guest-fsfreeze-status"] = lambda: "frozen"
    agent = guest.add("system", *FREEZE)
    await until(lambda: guest.gate.frozen)
    guest.behave["guest-fsfreeze-status"] = lambda: "thawed"
    guest.agents.remove(agent, "disconnected")
    guest.changes.notify()
    assert guest.gate.frozen
    await anyio.lowlevel.checkpoint()
    guest.add("system", *FREEZE)
    await until(lambda: not guest.gate.frozen)


async def test_a_freeze_that_failed_leaves_the_gate_shut_until_the_agent_says(guest: FakeAgents) -> None:
    def fail() -> None:
        raise CommandFailure("too slow")

    asked = anyio.Event()

    async def status() -> str:
        await asked.wait()
        return "thawed"

    guest.behave |= {"guest-fsfreeze-freeze": fail, "guest-fsfreeze-status": status}
    guest.add("system", *FREEZE)
    await refused(guest, guest.qga, "guest-fsfreeze-freeze")
    assert guest.gate.frozen
    asked.set()
    await until(lambda: not guest.gate.frozen)


async def test_what_takes_long_by_nature_has_long(guest: FakeAgents) -> None:
    guest.add("system", "guest-fsfreeze-freeze-list", *FILES)
    await guest.ask(guest.qga, "guest-fsfreeze-freeze-list")
    await guest.ask(guest.qga, "guest-file-open", path="/x")
    await guest.ask(guest.qga, "guest-file-open", path="/x", timeout=7)
    assert guest.timeouts == [LONG_TIMEOUT, CALL_TIMEOUT, 7]


async def test_a_result_against_the_schema_is_the_agent_s_fault_and_opens_nothing(guest: FakeAgents) -> None:
    guest.add("system", *FILES)
    guest.behave["guest-file-open"] = lambda path: "no number"
    assert "against its own schema" in (await refused(guest, guest.qmp, "guest-file-open", path="/x"))[1]


async def test_what_is_opened_for_a_host_that_left_meanwhile_is_let_go(guest: FakeAgents) -> None:
    opened = anyio.Event()

    async def slow(path: str) -> int:
        await opened.wait()
        return 9

    guest.behave["guest-file-open"] = slow
    guest.add("system", *FILES)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: guest.ask(guest.qga, "guest-file-open", path="/x"))
        await until(lambda: len(guest.calls) == 1)
        tasks.cancel_scope.cancel()
    opened.set()
    await until(lambda: len(guest.calls) == 2)
    assert guest.calls[-1] == ("agent-system", "guest-file-close", {"handle": 9})


async def test_what_was_opened_at_the_moment_that_the_host_left_is_let_go(guest: FakeAgents) -> None:
    scope = anyio.CancelScope()

    def leaving(path: str) -> int:
        scope.cancel()
        return 9

    guest.behave["guest-file-open"] = leaving
    guest.add("system", *FILES)
    with scope:
        await guest.ask(guest.qga, "guest-file-open", path="/x")
    await until(lambda: len(guest.calls) == 2)
    assert guest.calls[-1] == ("agent-system", "guest-file-close", {"handle": 9})


async def test_an_opening_that_fails_after_the_host_left_is_nobody_s_trouble(guest: FakeAgents) -> None:
    opened = anyio.Event()

    async def slow(path: str) -> int:
        await opened.wait()
        raise CommandFailure("no")

    guest.behave["guest-file-open"] = slow
    guest.add("system", *FILES)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: guest.ask(guest.qga, "guest-file-open", path="/x"))
        await until(lambda: len(guest.calls) == 1)
        tasks.cancel_scope.cancel()
    opened.set()
    await anyio.wait_all_tasks_blocked()
    assert len(guest.calls) == 1


async def test_a_status_from_before_a_thaw_is_asked_for_again(guest: FakeAgents) -> None:
    answers = iter([anyio.Event(), anyio.Event()])
    waiting: list[anyio.Event] = []

    async def status() -> str:
        waiting.append(next(answers))
        told = "frozen" if len(waiting) == 1 else "thawed"
        await waiting[-1].wait()
        return told

    guest.behave["guest-fsfreeze-status"] = status
    guest.add("system", *FREEZE)
    await until(lambda: len(waiting) == 1)
    await guest.ask(guest.qga, "guest-fsfreeze-thaw")
    waiting[0].set()
    await until(lambda: len(waiting) == 2)
    assert not guest.gate.frozen
    waiting[1].set()
