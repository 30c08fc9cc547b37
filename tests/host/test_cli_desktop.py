"""What the command line does on a session's desktop: notifications, URIs, and a session that stays awake."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from guestmux.cli import exits
from guestmux.cli.app import run
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.standin_guest import StandInGuest

pytestmark = pytest.mark.anyio

Cli = Callable[..., Awaitable[tuple[int, str, str]]]

EVIL = "\x1b]0;owned\x07red"


@pytest.fixture
def dialect() -> str:
    return "mux"


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


def _serve_notifications(standin: StandInGuest, **answer: Any) -> None:
    standin.commands["session-notify"] = lambda _: {"id": 4, "outcome": "shown", **answer}


async def test_everything_that_a_notification_can_have(
    cli: Cli, standin: StandInGuest, tmp_path: Path
) -> None:
    _serve_notifications(standin)
    (tmp_path / "picture.png").write_bytes(b"PNG")
    status, out, err = await cli(
        "notify", "Restart?", "<b>Now</b>", "-s", "c2", "--markup", "--icon", "dialog-question",
        "--image", f"{tmp_path}/picture.png", "--urgency", "critical", "--category", "device",
        "--action", "yes=Restart", "--reply", "Send", "--expire", "0", "--resident", "--transient",
        "--replace", "3", "--tag", "t",
    )  # fmt: skip
    assert (status, out, err) == (exits.OK, "", "")
    assert standin.requests["session-notify"][0].arguments == {
        "summary": "Restart?", "body": "<b>Now</b>", "markup": True, "icon": "dialog-question",
        "image-b64": base64.b64encode(b"PNG").decode(), "urgency": "critical", "category": "device",
        "actions": [{"key": "yes", "label": "Restart"}], "reply": {"label": "Send", "placeholder": ""},
        "expire": 0, "resident": True, "transient": True, "replaces": 3, "tag": "t", "session": "c2",
    }  # fmt: skip


async def test_what_is_not_used_is_not_sent(cli: Cli, standin: StandInGuest) -> None:
    """So that a guest of before takes it."""
    _serve_notifications(standin)
    assert await cli("notify", "Hello", "-p") == (exits.OK, "4\n", "")
    assert standin.requests["session-notify"][0].arguments == {
        "summary": "Hello", "body": "", "icon": "", "urgency": "normal", "session": "active",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "out", "status"),
    [
        ({"outcome": "action", "action": "yes"}, "yes\n", exits.OK),
        ({"outcome": "replied", "reply": "Not now"}, "Not now\n", exits.OK),
        ({"outcome": "replied", "reply": EVIL}, "\\x1b]0;owned\\x07red\n", exits.OK),
        ({"outcome": "dismissed"}, "dismissed\n", exits.FAILED),
        ({"outcome": "expired"}, "expired\n", exits.FAILED),
    ],
)
async def test_what_the_user_chose(
    cli: Cli, standin: StandInGuest, answer: dict[str, Any], out: str, status: int
) -> None:
    _serve_notifications(standin, **answer)
    assert await cli("notify", "Restart?", "--action", "yes=Yes", "--wait") == (status, out, "")
    assert (await cli("notify", "Restart?", "--reply", "Send", "--wait"))[:2] == (status, out)
    # Without a question there is no wrong answer.
    assert (await cli("notify", "Hello", "--wait"))[:2] == (exits.OK, out)


async def test_a_notification_is_taken_away(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-notify-close"] = lambda _: {}
    assert await cli("notify-close", "4", "c2") == (exits.OK, "", "")
    assert standin.requests["session-notify-close"][0].arguments == {"id": 4, "session": "c2"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["notify", "s", "--wait", "--print-id"],
        ["notify", "s", "--image", "/nothing/there"],
        ["notify-close", "x"],
        ["open"],
        ["inhibit-idle", "--for", "3", "--", "true"],
    ],
)
async def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    assert (await cli(*arguments))[0] == exits.USAGE


async def test_a_uri(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-open-uri"] = lambda _: {"by": "portal", "confirmed": True}
    assert await cli("open", "https://example.org/", "c2", "--app", "firefox") == (exits.OK, "", "")
    assert standin.requests["session-open-uri"][0].arguments == {
        "uri": "https://example.org/", "app-id": "firefox", "session": "c2",
    }  # fmt: skip
    standin.commands["session-open-uri"] = lambda _: {"by": "portal", "confirmed": False}
    status, out, err = await cli("open", "https://example.org/")
    assert (status, out) == (exits.OK, "")
    assert "may still be asking" in err
    assert json.loads((await cli("open", "https://example.org/", "--json"))[1])["by"] == "portal"


def _serve_holds(standin: StandInGuest) -> None:
    standin.streams["session-hold-idle"] = lambda stream: stream.accept({"id": 1, "by": ["logind"]})


async def test_a_session_is_kept_awake_while_a_command_runs(cli: Cli, standin: StandInGuest) -> None:
    _serve_holds(standin)
    status, _, err = await cli("inhibit-idle", "-s", "c2", "--reason", "Why not", "--", "sh", "-c", "exit 7")
    assert (status, err) == (7, "")
    (stream,) = standin.opened["session-hold-idle"]
    assert stream.request.arguments == {"reason": "Why not", "session": "c2"}
    await standin.until(lambda: stream.closed is not None)


@pytest.mark.parametrize(
    ("command", "status"),
    [(["/nothing/there"], exits.NOT_FOUND), (["/"], exits.REFUSED), (["sh", "-c", "kill -9 $$"], 137)],
)
async def test_a_command_that_does_not_end_well(
    cli: Cli, standin: StandInGuest, command: list[str], status: int
) -> None:
    _serve_holds(standin)
    assert (await cli("inhibit-idle", *command))[0] == status


async def test_it_is_not_started_where_the_session_cannot_be_kept_awake(cli: Cli, tmp_path: Path) -> None:
    status, _, err = await cli("inhibit-idle", "touch", f"{tmp_path}/started")
    assert status == exits.NOT_FOUND
    assert "the guest says" in err
    assert not (tmp_path / "started").exists()


async def test_for_a_time(cli: Cli, standin: StandInGuest) -> None:
    _serve_holds(standin)
    assert await cli("inhibit-idle", "--for", "0.01") == (exits.OK, "", "")
    assert len(standin.opened["session-hold-idle"]) == 1


async def test_what_holds_is_listed(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-list-inhibitors"] = lambda _: [
        {"id": 1, "reason": EVIL, "by": ["logind", "x11"], "seconds": 59.7},
        {"id": 2, "reason": "A film", "by": []},
    ]
    status, out, _ = await cli("inhibit-idle", "--list")
    assert status == exits.OK
    assert [line.split() for line in out.splitlines()] == [
        ["ID", "REASON", "BY", "SECONDS"],
        ["1", "\\x1b]0;owned\\x07red", "logind,x11", "60"],
        ["2", "A", "film", "-", "-"],
    ]
    assert len(json.loads((await cli("inhibit-idle", "--list", "--json"))[1])) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_goes_to_the_command(standin: StandInGuest, number: signal.Signals) -> None:
    _serve_holds(standin)
    script = 'trap "exit 5" TERM HUP INT; echo ready; while :; do sleep 0.01; done'
    command = [sys.executable, "-m", "guestmux", "inhibit-idle", "--", "sh", "-c", script]
    environment = {**os.environ, ADDRESS_VARIABLE: standin.address}
    async with await anyio.open_process(command, env=environment, stderr=None) as process:
        assert process.stdout is not None
        assert await process.stdout.receive() == b"ready\n"
        process.send_signal(number)
        assert await process.wait() == 5
    (stream,) = standin.opened["session-hold-idle"]
    await standin.until(lambda: stream.closed is not None)


async def test_interrupted_without_a_command(standin: StandInGuest) -> None:
    _serve_holds(standin)
    command = [sys.executable, "-m", "guestmux", "inhibit-idle"]
    environment = {**os.environ, ADDRESS_VARIABLE: standin.address}
    async with await anyio.open_process(command, env=environment) as process:
        await standin.until(lambda: bool(standin.opened["session-hold-idle"]))
        process.send_signal(signal.SIGINT)
        assert await process.wait() == exits.INTERRUPTED
