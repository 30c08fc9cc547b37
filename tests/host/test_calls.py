"""Calls: typed results, both dialects, errors of both families, and what becomes of a call when the guest fails."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import guestmux
from guestmux_protocol.errors import JsonError
from tests.support.standin_guest import SILENCE, Refused, StandInGuest, session

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])
JSON_ONLY = pytest.mark.parametrize("dialect", ["qmp", "qga"])
QGA_ONLY = pytest.mark.parametrize("dialect", ["qga"])


async def until_lost(guest: guestmux.Guest) -> None:
    """Wait until the guest's leaving was noticed."""
    while guest.connected:
        await anyio.lowlevel.checkpoint()


async def test_finds_out_the_dialect_and_calls(guest: guestmux.Guest, dialect: str) -> None:
    await guest.ping()
    assert guest.dialect == dialect
    assert guest.connected
    assert dialect in repr(guest)


async def test_typed_results(guest: guestmux.Guest, standin: StandInGuest) -> None:
    agent = {"name": "guestmux-session", "version": "1", "commands": ["session-lock"]}
    standin.sessions = [session("c2", locked=True, agents=[agent])]
    standin.commands["guest-info"] = lambda _: {
        "version": "9.9",
        "supported_commands": [{"name": "guest-ping", "enabled": True, "success-response": True}],
    }
    [found] = await guest.sessions()
    assert (found.session, found.locked, found.agents[0].name) == ("c2", True, "guestmux-session")
    assert [user.user for user in await guest.users()] == ["alice"]
    assert (await guest.info()).supported_commands[0].name == "guest-ping"
    schema = await guest.schema()
    assert schema.commands["session-notify"].parameters[0].name == "summary"


async def test_session_verbs_send_where_and_how_long(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["session-lock"] = lambda _: {"locked": True, "confirmed": False}
    assert await guest.lock("c2", wait=3, timeout=5) == guestmux.LockState(locked=True, confirmed=False)
    request = await standin.until_asked("session-lock")
    assert request.arguments == {"session": "c2", "wait": 3, "timeout": 5}


async def test_idle_says_since_when_and_who_knows_it(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["session-get-idle"] = lambda _: {"idle": False, "seconds": 2.5, "said-by": ["mutter"]}
    state = await guest.idle("user:alice")
    assert state == guestmux.IdleState(idle=False, seconds=2.5, said_by=["mutter"])


async def test_notify_sends_what_was_given(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["session-notify"] = lambda _: {"id": 7, "outcome": "action", "action": "yes"}
    result = await guest.notify("Restart?", actions={"yes": "Restart"}, wait_for_user=True)
    assert result.action == "yes"
    request = await standin.until_asked("session-notify")
    assert request.arguments == {
        "summary": "Restart?", "body": "", "icon": "", "urgency": "normal", "session": "active",
        "actions": [{"key": "yes", "label": "Restart"}], "wait-for-user": True,
    }  # fmt: skip


async def test_keywords_are_kebab_case_on_the_wire(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["x"] = lambda arguments: arguments
    assert await guest.call("x", {"as_is": 1}, wait_for_user=True) == {"as_is": 1, "wait-for-user": True}


async def test_a_plain_call_has_no_routing_arguments(guest: guestmux.Guest, standin: StandInGuest) -> None:
    await guest.call("guest-ping", timeout=3)
    assert (await standin.until_asked("guest-ping")).arguments == {}, "a stock qemu-ga would refuse them"


@pytest.mark.parametrize(
    ("desc", "error_class", "kind"),
    [
        ("no locker", "GenericError", guestmux.CommandFailed),
        ("The command x has not been found", "CommandNotFound", guestmux.CommandNotFound),
        (
            "Command x has been disabled: the command is not allowed",
            "CommandNotFound",
            guestmux.CommandDisabled,
        ),
        ("gone", "DeviceNotFound", guestmux.RemoteError),
    ],
)
async def test_their_errors(
    guest: guestmux.Guest,
    standin: StandInGuest,
    desc: str,
    error_class: str,
    kind: type[guestmux.RemoteError],
) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused(desc, error_class)

    standin.commands["x"] = refuse
    with pytest.raises(guestmux.RemoteError) as caught:
        await guest.call("x")
    assert type(caught.value) is kind
    assert (caught.value.error_class, caught.value.desc) == (error_class, desc)
    assert not isinstance(caught.value, guestmux.GuestmuxError)


@pytest.mark.parametrize("value", [17, [{"user": "alice"}], {"sessions": []}, None])
async def test_a_reply_of_another_form_is_told(
    guest: guestmux.Guest, standin: StandInGuest, value: Any
) -> None:
    standin.commands["guest-get-sessions"] = lambda _: value
    with pytest.raises(guestmux.UnexpectedReply, match="guest-get-sessions"):
        await guest.sessions()


@pytest.mark.parametrize("value", [17, [17], [{"meta-type": "command"}]])
async def test_a_schema_of_another_form_is_told(
    guest: guestmux.Guest, standin: StandInGuest, value: Any
) -> None:
    standin.commands["guest-query-schema"] = lambda _: value
    with pytest.raises(guestmux.UnexpectedReply, match="guest-query-schema"):
        await guest.schema()


async def test_no_reply_in_time(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["x"] = lambda _: SILENCE
    with pytest.raises(guestmux.CallTimeout, match="may or may not have run"):
        await guest.call("x", timeout=0.01)
    await guest.ping()


async def test_a_reply_that_comes_too_late_is_nobody_elses(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    standin.commands["x"] = lambda _: SILENCE
    with pytest.raises(guestmux.CallTimeout):
        await guest.call("x", timeout=0.01)
    standin.reply(await standin.until_asked("x"), "late")
    assert await guest.call("guest-ping") == {}


@JSON_ONLY
async def test_a_second_reply_is_nobody_elses(guest: guestmux.Guest, standin: StandInGuest) -> None:
    await guest.ping()
    standin.reply(await standin.until_asked("guest-ping"), "again")
    standin.commands["x"] = lambda _: "mine"
    assert await guest.call("x") == "mine"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"return": {}}\n',
        b'{"return": {}, "id": ["a"]}\n',
        b"[" * 5000 + b"\n",
    ],
)
async def test_garbage_costs_nothing_else(
    guest: guestmux.Guest, standin: StandInGuest, garbage: bytes
) -> None:
    await guest.ping()
    standin.send(garbage)
    standin.commands["x"] = lambda _: "fine"
    with anyio.fail_after(10):
        while True:
            try:
                assert await guest.call("x") == "fine"
                break
            except guestmux.ConnectionLost:
                # On a qga port the guest is synced with anew after garbage, and what was under way counts as lost.
                continue


@CONCURRENT
async def test_calls_overtake_each_other(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["slow"] = lambda _: SILENCE
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(guest.call("slow"))
        request = await standin.until_asked("slow")
        await guest.ping()
        assert not slow.done()
        standin.reply(request, "at last")
    assert slow.result() == "at last"


async def test_an_argument_that_is_no_json(guest: guestmux.Guest) -> None:
    with pytest.raises(JsonError):
        await guest.call("x", {"value": object()})
    await guest.ping()


async def test_a_call_under_way_when_the_connection_ends(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    standin.commands["x"] = lambda _: SILENCE
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(_error_of(guest, "x"))
        await standin.until_asked("x")
        standin.hang_up()
    assert isinstance(call.result(), guestmux.ConnectionLost)
    assert "may or may not have run" in str(call.result())
    await guest.ping()


@CONCURRENT
@pytest.mark.parametrize("half", [b"", b'{"return": {"a": "cut of'])
async def test_a_call_under_way_when_the_guest_restarts(
    guest: guestmux.Guest, standin: StandInGuest, half: bytes
) -> None:
    standin.commands["x"] = lambda _: SILENCE
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(_error_of(guest, "x"))
        await standin.until_asked("x")
        standin.restart(half)
    assert isinstance(call.result(), guestmux.ConnectionLost)
    assert "restarted" in str(call.result())
    await guest.ping()


async def _error_of(guest: guestmux.Guest, command: str) -> BaseException:
    try:
        await guest.call(command)
    except (guestmux.GuestmuxError, guestmux.RemoteError) as error:
        return error
    raise AssertionError(f"{command} succeeded")


async def test_a_call_while_the_guest_is_away_waits_for_it(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    await standin.stop()
    await until_lost(guest)
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(guest.call("guest-get-users"))
        await standin.start()
    assert call.result()


async def test_a_call_while_the_guest_stays_away_did_not_run(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    await standin.stop()
    await until_lost(guest)
    with pytest.raises(guestmux.NotConnected, match="was not sent"):
        await guest.call("x", timeout=0.01)
    await standin.start()


async def test_without_reconnect_the_end_is_the_end(standin: StandInGuest) -> None:
    async with guestmux.connect(standin.address, reconnect=False) as guest:
        await guest.ping()
        standin.hang_up()
        await until_lost(guest)
        with pytest.raises(guestmux.NotConnected, match="hung up"):
            await guest.ping()


async def test_a_closed_guest_takes_no_calls(standin: StandInGuest) -> None:
    async with guestmux.connect(standin.address) as guest:
        pass
    with pytest.raises(guestmux.NotConnected, match="closed"):
        await guest.ping()


async def test_an_error_in_the_block_comes_out_as_it_is(standin: StandInGuest) -> None:
    with pytest.raises(ZeroDivisionError):
        async with guestmux.connect(standin.address):
            raise ZeroDivisionError
