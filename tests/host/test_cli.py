"""The command line from the outside, in this process: what it prints, and how it exits."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from guestmux.cli import exits
from guestmux.cli.app import root, run
from guestmux.guest import ADDRESS_VARIABLE
from guestmux_protocol.messages import Event
from tests.support.standin_guest import SILENCE, Refused, StandInGuest, session

pytestmark = pytest.mark.anyio

Cli = Callable[..., Awaitable[tuple[int, str, str]]]

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])
EVIL = "\x1b]0;owned\x07\x1b[2J[red]x[/red]\u202egnp.exe\r\n\x9b"


@pytest.fixture(params=["qmp"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cli(standin: StandInGuest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line; gives exit status, stdout, stderr."""
    monkeypatch.setenv(ADDRESS_VARIABLE, standin.address)

    async def cli(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await run_sync(run, list(arguments))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return cli


@pytest.mark.parametrize("dialect", ["mux"])
async def test_who_wants_to_stays_with_json(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["guest-info"] = lambda _: {"version": "1", "supported_commands": []}
    for options, spoken in (([], "mux"), (["--dialect", "mux"], "mux"), (["--dialect", "qmp"], "qmp")):
        status, out, _ = await cli(*options, "info")
        assert status == exits.OK
        assert f"dialect   {spoken}\n" in out
    assert (await cli("info", "--dialect", "x"))[0] == exits.USAGE


async def test_ping(cli: Cli) -> None:
    status, out, _ = await cli("ping", "-n", "3", "-i", "0")
    assert status == exits.OK
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("reply from unix:")
    assert lines[3].startswith("3 replies, round trip min/mean/max = ")


async def test_ping_as_json(cli: Cli) -> None:
    _, out, _ = await cli("ping", "-n", "2", "-i", "0", "--json")
    assert json.loads(out)["count"] == 2


async def test_ping_without_a_reply(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["guest-ping"] = lambda _: SILENCE
    status, out, err = await cli("ping", "--timeout", "0.01")
    assert (status, out) == (exits.TIMEOUT, "")
    assert err.startswith("guestmux: no reply to guest-ping")


async def test_sessions(cli: Cli, standin: StandInGuest) -> None:
    agents = [{"name": "stock", "version": "1"}]
    standin.sessions = [
        session("c2", locked=True, type="wayland", agents=agents),
        session("c10", "bob", seat="", remote=True, **{"remote-host": "10.0.0.1"}),
    ]
    status, out, _ = await cli("sessions")
    assert status == exits.OK
    assert out.splitlines() == [
        "SESSION  USER   SEAT      TYPE         CLASS  STATE          AGENTS",
        "c2       alice  seat0     wayland      user   online,locked  stock",
        "c10      bob    10.0.0.1  unspecified  user   online,remote  -",
    ]
    _, out, _ = await cli("sessions", "--json")
    assert [found["session"] for found in json.loads(out)] == ["c2", "c10"]


async def test_sessions_that_only_agents_say_are_locked(cli: Cli, standin: StandInGuest) -> None:
    standin.sessions = [session("c2", claimed=["locked", "idle"])]
    assert " online,locked(claimed),idle(claimed) " in (await cli("sessions"))[1]


@pytest.mark.parametrize("login", [1.5, 1e300, -1e300])
async def test_users(cli: Cli, standin: StandInGuest, login: float) -> None:
    standin.commands["guest-get-users"] = lambda _: [{"user": "alice", "login-time": login}]
    status, out, _ = await cli("users")
    assert status == exits.OK
    assert out.splitlines()[1] in ("alice  1970-01-01 00:00:01+00:00", "alice  -")


async def test_info(cli: Cli, standin: StandInGuest) -> None:
    commands = [{"name": "b", "enabled": True}, {"name": "c", "enabled": False}]
    standin.commands["guest-info"] = lambda _: {"version": "1.2", "supported_commands": commands}
    status, out, _ = await cli("info")
    assert status == exits.OK
    assert out.splitlines()[1:] == ["dialect   qmp", "version   1.2", "commands  b", "disabled  c"]
    _, out, _ = await cli("info", "--json")
    assert json.loads(out)["version"] == "1.2"


async def test_text_of_the_guest_cannot_reach_the_terminal(cli: Cli, standin: StandInGuest) -> None:
    standin.sessions = [session(EVIL, EVIL, desktop=EVIL)]
    standin.commands["guest-get-users"] = lambda _: [{"user": EVIL, "login-time": 0}]

    def refuse(_: dict[str, Any]) -> Any:
        raise Refused(EVIL)

    standin.commands["x"] = refuse
    standin.commands["y"] = lambda _: EVIL
    verbs = (["sessions"], ["sessions", "--json"], ["users"], ["call", "x"], ["call", "y"])
    for arguments in (*verbs, ["wait", "session", EVIL]):
        _, out, err = await cli(*arguments)
        printed = (out + err).replace("\n", "")
        assert printed.isprintable(), arguments
        assert "[red]" in printed, "no markup is read"


@pytest.mark.parametrize(
    ("error_class", "desc", "status"),
    [
        ("GenericError", "it failed", exits.FAILED),
        ("CommandNotFound", "The command x has not been found", exits.NOT_FOUND),
        ("CommandNotFound", "Command x has been disabled", exits.REFUSED),
        ("DeviceNotFound", "gone", exits.FAILED),
    ],
)
async def test_exit_status_of_their_errors(
    cli: Cli, standin: StandInGuest, error_class: str, desc: str, status: int
) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused(desc, error_class)

    standin.commands["x"] = refuse
    assert await cli("call", "x") == (status, "", f"guestmux: the guest says: {desc}\n")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-c", "unix:/nothing/there", "ping"], exits.GUESTMUX_FAILED),
        (["ping", "-c", "unix:/nothing/there"], exits.GUESTMUX_FAILED),
        (["-c", "nonsense", "ping"], exits.USAGE),
        (["-c", "", "ping"], exits.USAGE),
        (["nonsense"], exits.USAGE),
        (["ping", "--nonsense"], exits.USAGE),
        (["call"], exits.USAGE),
        (["call", "x", "novalue"], exits.USAGE),
        (["call", "x", "a:={"], exits.USAGE),
        (["call", "x", "--json", "[]"], exits.USAGE),
        (["call", "x", "a=1", "a=2"], exits.USAGE),
        (["events", "no pattern"], exits.USAGE),
        (["events", "--since", "x"], exits.USAGE),
        (["events", "--since", "x:y"], exits.USAGE),
        (["notify", "s", "--action", "x"], exits.USAGE),
        (["completion", "tcsh"], exits.USAGE),
        (["--help"], exits.OK),
        (["call", "--help"], exits.OK),
        (["--version"], exits.OK),
        (["version"], exits.OK),
    ],
)
async def test_exit_status_of_our_errors(cli: Cli, arguments: list[str], status: int) -> None:
    found, out, err = await cli(*arguments)
    assert found == status
    assert out if status == exits.OK else err


async def test_help_lists_every_command_once_by_theme(cli: Cli) -> None:
    _, out, _ = await cli("--help")
    listed = [line.split()[0] for line in out.splitlines() if line[:2] == "  " and line[2:3].isalpha()]
    names = [name for name in listed if name in root.commands]
    assert sorted(names) == sorted(root.commands)
    assert "Desktop:\n  notify " in out


async def test_call_reads_values_by_the_schema(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-notify"] = lambda arguments: arguments
    status, out, err = await cli(
        "call", "session-notify", "summary=1", "expire=2.5", "wait-for-user=yes", 'actions=[{"key": "a"}]', "-s", "c2"
    )  # fmt: skip
    assert (status, err) == (exits.OK, "")
    assert json.loads(out) == {
        "summary": "1", "expire": 2.5, "wait-for-user": True, "actions": [{"key": "a"}], "session": "c2",
    }  # fmt: skip


async def test_call_collects_lists(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["guest-event-subscribe"] = lambda arguments: arguments
    _, out, _ = await cli("call", "guest-event-subscribe", "events=A", "events=B")
    assert json.loads(out) == {"events": ["A", "B"]}


@pytest.mark.parametrize("text", ["expire=soon", "wait-for-user=perhaps", "actions=[{"])
async def test_call_refuses_what_does_not_fit(cli: Cli, standin: StandInGuest, text: str) -> None:
    status, _, err = await cli("call", "session-notify", "summary=x", text)
    assert status == exits.USAGE
    assert text.partition("=")[0] in err
    assert not standin.requests["session-notify"]


async def test_call_without_a_schema(cli: Cli, standin: StandInGuest) -> None:
    del standin.commands["guest-query-schema"]
    standin.commands["x"] = lambda arguments: arguments
    _, out, _ = await cli("call", "x", "a=1", "b:=1", "--json", '{"c": null}')
    assert json.loads(out) == {"a": "1", "b": 1, "c": None}


async def test_call_passes_routing(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["x"] = lambda arguments: arguments
    _, out, _ = await cli("call", "x", "--session", "user:alice", "--wait", "2", "--timeout", "3")
    assert json.loads(out) == {"session": "user:alice", "wait": 2.0, "timeout": 3.0}


async def test_call_takes_routing_as_arguments(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["x"] = lambda arguments: arguments
    _, out, _ = await cli("call", "x", "session=active", "timeout=3", "a=b")
    assert json.loads(out) == {"a": "b", "session": "active", "timeout": 3}


async def test_session_verbs(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-lock"] = lambda _: {"locked": True, "confirmed": True}
    standin.commands["session-unlock"] = lambda _: {"locked": False, "confirmed": False}
    standin.commands["session-logout"] = lambda _: {}
    standin.commands["session-notify"] = lambda _: {"id": 1, "outcome": "action", "action": "yes"}
    assert (await cli("lock", "c2"))[:2] == (exits.OK, "locked\n")
    assert (await cli("lock", "--session", "c3"))[1] == "locked\n"
    assert (await cli("lock", "c2", "-s", "c3"))[0] == exits.USAGE
    assert [request.arguments["session"] for request in standin.requests["session-lock"]] == ["c2", "c3"]
    assert (await cli("unlock"))[1] == "asked to be unlocked; no screen locker confirmed it\n"
    assert json.loads((await cli("lock", "--json"))[1]) == {"locked": True, "confirmed": True}
    assert (await cli("logout", "c2"))[:2] == (exits.OK, "")
    assert (await cli("notify", "Hello"))[1] == ""
    assert (await cli("notify", "Restart?", "--action", "yes=Yes", "--wait"))[1] == "yes\n"
    assert json.loads((await cli("notify", "Hello", "--json"))[1])["id"] == 1
    assert standin.requests["session-unlock"][0].arguments == {"session": "active"}


async def test_who_says_that_it_is_locked(cli: Cli, standin: StandInGuest) -> None:
    xfce = "org.xfce.ScreenSaver"
    values = {"logind": False, xfce: True}
    state = {"locked": True, "confirmed": True, "said-by": [xfce], "values": values}
    standin.commands["session-lock"] = lambda _: state
    standin.commands["session-unlock"] = lambda _: {"locked": True, "confirmed": False, "values": values}
    assert (await cli("lock"))[1] == f"locked, says {xfce}\n"
    assert json.loads((await cli("lock", "--json"))[1]) == state
    assert (await cli("unlock"))[1] == "asked to be unlocked; it is still locked\n"
    state["said-by"] = ["logind", xfce]
    assert (await cli("lock"))[1] == "locked\n"


async def test_idle(cli: Cli, standin: StandInGuest) -> None:
    state = {"idle": True, "seconds": 312.4, "said-by": ["x11-sync", "logind"]}
    standin.commands["session-get-idle"] = lambda _: state
    assert (await cli("idle", "c2"))[1] == "idle, last input 312 s ago\n"
    assert json.loads((await cli("idle", "--json"))[1]) == state
    standin.commands["session-get-idle"] = lambda _: {"idle": False, "said-by": ["logind"]}
    assert (await cli("idle"))[1] == "in use\n"
    assert standin.requests["session-get-idle"][0].arguments == {"session": "c2"}


async def test_wait(cli: Cli, standin: StandInGuest) -> None:
    standin.sessions = [session("c2", active=True, agents=[{"name": "stock", "version": "1"}])]
    assert await cli("wait", "session") == (exits.OK, "c2\n", "")
    assert await cli("wait", "agent", "user:alice") == (exits.OK, "stock\n", "")
    assert json.loads((await cli("wait", "session", "c2", "--json"))[1])["user"] == "alice"
    assert json.loads((await cli("wait", "agent", "c2", "--json"))[1])["name"] == "stock"
    status, _, err = await cli("wait", "session", "c9", "--timeout", "0.01")
    assert status == exits.TIMEOUT
    assert "did not come" in err


async def test_wait_for_the_guest_itself(cli: Cli, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(f"{tmp_path}/port")
        nobody.listen()
        options = ["-c", f"unix:{tmp_path}/port", "--connect-timeout", "0.01"]
        status, _, err = await cli("wait", "agent", "c2", "--timeout", "0.25", *options)
        assert status == exits.GUESTMUX_FAILED
        assert "within 0.25 s" in err


async def test_schema(cli: Cli) -> None:
    status, out, _ = await cli("schema", "session-notify", "guest-ping")
    assert status == exits.OK
    assert len(out.splitlines()) == 3
    assert "summary: str [body: str]" in out
    _, out, _ = await cli("schema", "--json")
    assert {entity["meta-type"] for entity in json.loads(out)} >= {"command", "object"}
    assert (await cli("schema", "nonsense-*"))[0] == exits.NOT_FOUND


async def emit(standin: StandInGuest, *names: str, **data: Any) -> None:
    """Emit as soon as the host has subscribed."""
    times = len(standin.requests["guest-event-subscribe"])
    await standin.until_asked("guest-event-subscribe", times + 1)
    for name in names:
        standin.emit(name, **data)


async def test_events(cli: Cli, standin: StandInGuest) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(emit, standin, "AGENT_GONE", "SESSION_LOCK", "SESSION_UNLOCK")
        status, out, err = await cli("events", "SESSION_*", "--count", "2", "--timestamp")
    assert status == exits.OK
    assert out.splitlines() == [
        "2023-11-14T22:13:22.500+00:00 SESSION_LOCK",
        "2023-11-14T22:13:23.500+00:00 SESSION_UNLOCK",
    ]
    assert err == "events received: 2\n"


async def test_events_as_json(cli: Cli, standin: StandInGuest) -> None:
    standin.sessions = [session("c2")]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(emit, standin, "SESSION_LOCK")
        _, out, err = await cli("events", "--json", "--snapshot", "-n", "1")
    snapshot, event = map(json.loads, out.splitlines())
    assert snapshot["stream"] == "snapshot"
    assert snapshot["sessions"][0]["session"] == "c2"
    assert event["data"] == {"epoch": "epoch-1", "seq": 1, "source": "verified"}
    assert err == ""


async def test_events_continue_where_they_were(cli: Cli, standin: StandInGuest) -> None:
    for name in ("A", "B", "C"):
        standin.emit(name)
    _, out, _ = await cli("events", "--since", "epoch-1:1", "-n", "2")
    assert out.splitlines() == ["B", "C"]


async def test_event_members(cli: Cli, standin: StandInGuest) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: emit(standin, "X", user="alice", title="a b", number=1, evil=EVIL, source="claimed")
        )
        _, out, _ = await cli("events", "-n", "1")
    assert out.startswith('X user=alice title="a b" number=1 evil=')
    assert out.endswith(" (claimed)\n")
    assert out.rstrip("\n").isprintable()


async def test_events_that_do_not_come(cli: Cli) -> None:
    status, out, err = await cli("events", "--timeout", "0.05")
    assert (status, out, err) == (exits.FAILED, "", "events received: 0\n")


async def test_fewer_events_than_wanted(cli: Cli, standin: StandInGuest) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(emit, standin, "X")
        status, out, _ = await cli("events", "--count", "2", "--timeout", "3")
    assert (status, out) == (exits.FAILED, "X\n")


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_events_tell_what_became_of_the_stream(
    cli: Cli, standin: StandInGuest, options: list[str]
) -> None:
    async def disturb() -> None:
        await standin.until_asked("guest-event-subscribe")
        standin.journal = [Event("Y", {}, 0, 0)] * 3
        standin.lose(1, 3, "expired")
        standin.hang_up()
        await standin.until_asked("guest-event-subscribe", 2)
        standin.emit("X")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(disturb)
        status, out, err = await cli("events", "-n", "1", *options)
    assert status == exits.OK
    if options:
        kinds = [json.loads(line).get("stream") for line in out.splitlines()]
        assert kinds == ["gap", "disconnected", "reconnected", None]
    else:
        assert out == "X\n"
        assert [line.partition(":")[0] for line in err.splitlines()] == ["guestmux"] * 3 + ["events received"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
async def test_completion_scripts(cli: Cli, shell: str) -> None:
    status, out, _ = await cli("completion", shell)
    assert status == exits.OK
    assert "_GUESTMUX_COMPLETE" in out
