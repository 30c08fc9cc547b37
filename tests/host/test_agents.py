"""Pushing agents from the library and the command line, to a stand-in for the guest."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

import guestmux
from guestmux import BundleError, CallTimeout, CommandFailed, CopyWatcher, NoStreams
from guestmux.cli import exits
from guestmux_protocol.agent_commands import InstalledAgent
from tests.support.bundles import NAME
from tests.support.completion import completed
from tests.support.standin_guest import Refused, StandInGuest
from tests.support.standin_mux import StandInStream
from tests.support.whole_guest import run_guestmux, whole_guest

pytestmark = pytest.mark.anyio
streams = pytest.mark.parametrize("dialect", ["mux"])

RESULT = {"name": NAME, "version": "1.0", "session": "c2", "former": "0.9", "signer": "ED25519 SHA256:x"}
AGENT = {"name": NAME, "version": "1.0", "unit": "active", "session": "c2", "signer": "ED25519 SHA256:x"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "clock"
    path.mkdir()
    (path / "agent.toml").write_text(f'name = "{NAME}"\nversion = "1.0"\nexec = ["run"]\n')
    (path / "run").write_bytes(b"x" * 300_000)
    (path / "run").chmod(0o755)
    return path


class Watcher(CopyWatcher):
    """Counts."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.bytes = 0

    def began(self, path: str, size: int | None) -> None:
        self.told.append((path, size))

    def moved(self, path: str, count: int) -> None:
        self.bytes += count

    def ended(self, path: str) -> None:
        self.told.append("ended")


_PLAYS: list[asyncio.Task[None]] = []
"""Somebody has to hold them."""


def takes(standin: StandInGuest, wanted: int, result: dict[str, Any] | str | None) -> None:
    """Have the guest take a bundle; with a text it fails, with None it never says what became of it."""

    async def play(stream: StandInStream) -> None:
        stream.accept({"wanted": wanted})
        await standin.until(lambda: stream.closed is not None)
        if isinstance(result, str):
            stream.fail(result)
        elif result is not None:
            stream.close(result)

    standin.streams["agent-install"] = lambda stream: _PLAYS.append(asyncio.create_task(play(stream)))


@streams
async def test_a_push(guest: guestmux.Guest, standin: StandInGuest, directory: Path) -> None:
    size = sum(path.stat().st_size for path in directory.iterdir())
    takes(standin, size, RESULT)
    watcher = Watcher()
    done = await guest.push_agent(directory, session="user:alice", force=True, watcher=watcher)
    assert (done.version, done.session, done.former, done.unchanged) == ("1.0", "c2", "0.9", False)
    [stream] = standin.opened["agent-install"]
    asked = stream.request.arguments
    manifest = json.loads(asked["manifest"])
    assert (asked["name"], asked["force"], asked["session"]) == (NAME, True, "user:alice")
    assert "signature" not in asked
    contents = b"".join((directory / file["path"]).read_bytes() for file in manifest["files"])
    assert stream.received == contents
    assert watcher.told == [(NAME, size), "ended"]
    assert watcher.bytes == size


@streams
async def test_what_is_there_already_is_not_sent(
    guest: guestmux.Guest, standin: StandInGuest, directory: Path
) -> None:
    takes(standin, 0, {**RESULT, "unchanged": True})
    assert (await guest.push_agent(directory)).unchanged
    [stream] = standin.opened["agent-install"]
    assert stream.received == b""
    assert "session" not in stream.request.arguments


@streams
async def test_a_refusal(guest: guestmux.Guest, standin: StandInGuest, directory: Path) -> None:
    def refuse(_stream: StandInStream) -> None:
        raise Refused("the guest's policy takes signed agents only")

    standin.streams["agent-install"] = refuse
    with pytest.raises(CommandFailed, match="signed agents only"):
        await guest.push_agent(directory)
    takes(standin, 1, "it did not register within 30 s")
    with pytest.raises(CommandFailed, match="did not register"):
        await guest.push_agent(directory)


@streams
async def test_a_guest_that_never_says(
    guest: guestmux.Guest, standin: StandInGuest, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestmux.agent_calls.START_SECONDS", -29.9)
    takes(standin, 1, None)
    with pytest.raises(CallTimeout, match=r"did not say within 0\.1 s what became of the agent"):
        await guest.push_agent(directory)


@pytest.mark.parametrize("dialect", ["qmp", "qga"])
async def test_a_port_without_streams(guest: guestmux.Guest, directory: Path) -> None:
    with pytest.raises(NoStreams):
        await guest.push_agent(directory)


@streams
async def test_a_directory_that_is_no_bundle(
    guest: guestmux.Guest, standin: StandInGuest, directory: Path
) -> None:
    (directory / "run").chmod(0o644)
    with pytest.raises(BundleError, match="not executable"):
        await guest.push_agent(directory)
    assert not standin.opened


@streams
async def test_list_and_remove(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["agent-list"] = lambda _arguments: [AGENT, {**AGENT, "name": "other"}]
    standin.commands["agent-remove"] = lambda arguments: {"version": arguments["name"]}
    assert (await guest.pushed_agents("c2"))[0] == InstalledAgent(**AGENT)
    assert (await guest.remove_agent(NAME, session="c2")).version == NAME


async def cli(standin: StandInGuest, *arguments: str | Path) -> tuple[int, str, str]:
    status, out, err = await run_guestmux(standin.address, "agent", *arguments)
    return status, out.decode(), err.decode()


@streams
async def test_the_command_line(standin: StandInGuest, directory: Path) -> None:
    takes(standin, 1, RESULT)
    status, out, err = await cli(standin, "push", directory, "-s", "user:alice")
    assert (status, out) == (exits.OK, f"{NAME} 1.0 (was 0.9) is registered in c2\n"), err
    status, out, _ = await cli(standin, "upgrade", directory, "--system", "--json")
    assert (status, json.loads(out)) == (exits.OK, RESULT)
    assert [stream.request.arguments["upgrade"] for stream in standin.opened["agent-install"]] == [
        False,
        True,
    ]
    assert (await cli(standin, "push", directory, "--system", "-q"))[1:] == ("", "")
    takes(standin, 0, {"name": NAME, "version": "1.0", "session": "system", "unchanged": True})
    assert "(as before)" in (await cli(standin, "push", directory, "--system"))[1]
    takes(standin, 1, {"name": NAME, "version": "1.0", "session": "system"})
    assert "(new)" in (await cli(standin, "push", directory, "--system"))[1]
    takes(standin, 1, "its last words: \x1b[2Jno good")
    status, out, err = await cli(standin, "push", directory, "--system")
    assert (status, out) == (exits.FAILED, "")
    assert "no good" in err
    assert "\x1b" not in err


@streams
async def test_whose(standin: StandInGuest, directory: Path) -> None:
    for words in (["push", directory], ["remove", NAME], ["logs", NAME]):
        status, _, err = await cli(standin, *words)
        assert status == exits.USAGE
        assert "whose? give --session or --system" in err
        assert (await cli(standin, *words, "--system", "-s", "c2"))[0] == exits.USAGE
    assert not standin.requests


@streams
async def test_a_list_of_everybodys(standin: StandInGuest) -> None:
    def listed(arguments: dict[str, Any]) -> list[dict[str, str]]:
        if "session" not in arguments:
            raise Refused("The command agent-list runs in a session", "CommandNotFound")
        return [{**AGENT, "session": arguments["session"]}] if arguments["session"] == "c2" else []

    agents = [{"name": "guestmux-session", "version": "1"}]
    standin.sessions = [
        {"session": name, "user": user, "uid": 1000, "agents": there}
        for name, user, there in (("c1", "bob", agents), ("c2", "alice", agents), ("c3", "carol", []))
    ]
    standin.commands["agent-list"] = listed
    status, out, err = await cli(standin, "list")
    assert status == exits.OK, err
    header, row = out.splitlines()
    assert header.split() == ["NAME", "VERSION", "FOR", "UNIT", "REGISTERED", "SIGNER"]
    assert row.split() == [NAME, "1.0", "user:alice", "active", "c2", "ED25519", "SHA256:x"]
    [found] = json.loads((await cli(standin, "list", "--json"))[1])
    assert found == {"for": "user:alice", **AGENT}
    assert json.loads((await cli(standin, "list", "-s", "c1", "--json"))[1]) == []


@streams
async def test_logs(standin: StandInGuest) -> None:
    def tell(stream: StandInStream) -> None:
        stream.accept({"unit": "u"})
        stream.send(b"one\ntw\xc3")
        stream.send(b"\xb6\n\x1b[2Jthr")
        stream.close()

    standin.streams["agent-logs"] = tell
    status, out, _ = await cli(standin, "logs", NAME, "-s", "c2", "-n", "7")
    assert (status, out) == (exits.OK, "one\ntwö\n\\x1b[2Jthr\n")
    asked = standin.opened["agent-logs"][0].request.arguments
    assert asked == {"name": NAME, "lines": 7, "follow": False, "session": "c2"}
    # It was not given up, which the guest's audit would tell as a failure.
    closed = standin.opened["agent-logs"][0].closed
    assert closed is not None
    assert closed.failure is None


@streams
async def test_remove(standin: StandInGuest) -> None:
    standin.commands["agent-remove"] = lambda _arguments: {"version": "1.0"}
    assert (await cli(standin, "remove", NAME, "--system"))[:2] == (exits.OK, f"{NAME} 1.0 was removed\n")
    _, out, _ = await cli(standin, "remove", NAME, "--system", "--json")
    assert json.loads(out) == {"version": "1.0"}


@streams
async def test_completion(standin: StandInGuest) -> None:
    names = [NAME, "other", "org.$(evil)"]
    standin.commands["agent-list"] = lambda _arguments: [{**AGENT, "name": name} for name in names]
    words = ("agent", "remove", "-s", "user:alice", "org")
    assert await completed(standin.address, *words) == [f"plain,{NAME}"]
    assert standin.requests["agent-list"][0].arguments["session"] == "user:alice"


@pytest.mark.timeout(180)
@pytest.mark.skipif(os.geteuid() != 0, reason="the system agent needs root")
async def test_a_policy_of_eventds(tmp_path: Path, directory: Path) -> None:
    config = tmp_path / "eventd.toml"
    config.write_text('[[policy]]\ndeny = ["agent-*"]\n')
    async with whole_guest("--config", str(config)) as guest:
        for words in (["push", directory], ["remove", NAME], ["logs", NAME], ["list"]):
            status, _, err = await run_guestmux(guest.address, "agent", *words, "--system")
            assert status == exits.REFUSED, err
            assert b"has been disabled" in err
