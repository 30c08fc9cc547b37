"""`guestmux-session check-agent` finds what is wrong with an agent, and nothing where all is well."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_eventd import agent_table, event_reader
from guestmux_session.__main__ import main
from guestmux_session.check import (
    agent_program,
    channel_checks,
    declaration_checks,
    installed,
    life_checks,
    played_eventd,
)
from guestmux_session.check.declared import read_properties
from guestmux_session.check.examination import examine
from guestmux_session.check.findings import Finding, Status
from guestmux_session.check.installed import installed_command
from guestmux_session.check.played_eventd import Registration
from guestmux_session.pushed.place import Place
from guestmux_transport.values import Variant
from tests.support.bare_agent import bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import running_eventd
from tests.support.faulty_agent import HELLO, NAME
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

TREE = Path(__file__).parents[3]
FAULTY = [sys.executable, "-m", "tests.support.faulty_agent"]
STRANGERS = {"strangers-call", "strangers-cancel", "strangers-release"}
UNKNOWN = {"unknown-command", "odd-arguments", "unknown-context", "long-arguments", "large-messages"}


@pytest.fixture(autouse=True)
def short_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_checks, "CALM_SECONDS", 0.2)


async def findings(
    fault: str = "", *, name: str = NAME, command: list[str] | None = None, chosen: Any = None
) -> dict[str, Finding]:
    found: list[Finding] = []
    calls = [(HELLO, {})] if chosen is None else [*chosen.items()]
    await examine(name, command or [*FAULTY, fault], calls, found.append)
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


def those(found: dict[str, Finding], status: Status) -> set[str]:
    return {name for name, finding in found.items() if finding.status is status}


async def test_an_agent_that_does_what_it_has_to_passes() -> None:
    found = await findings()
    assert those(found, Status.FAIL) == set(), found
    assert those(found, Status.SKIP) == {"channel"}
    assert found[HELLO].text.startswith("answered as its schema says")
    assert found["emitted"].text == "2 events, all declared"


async def test_the_stock_agent_does_what_agents_have_to() -> None:
    command = [sys.executable, "-m", "guestmux_session"]
    found = await findings(name="guestmux-session", command=command, chosen={"session-get-info": {}})
    assert those(found, Status.FAIL) == set(), found
    assert found["channel-lost"].status is Status.PASS


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ("answers-anything", UNKNOWN),
        ("other-errors", {*UNKNOWN, HELLO, f"{HELLO} wrongly", f"{HELLO} in no time"}),
        ("no-memfds", {"large-messages"}),
        ("cancel-fails", {"cancel", f"{HELLO} cancelled"}),
        ("trusts-everybody", {*STRANGERS, "former-eventd"}),
        ("trusts-the-former", {"former-eventd"}),
        ("comes-back-at-once", {"release"}),
        ("emits-nonsense", {"emitted"}),
        ("result-against-schema", {HELLO}),
        ("no-return", {HELLO}),
        ("goes-on", {f"{HELLO} cancelled"}),
    ],
)
async def test_a_fault_is_found_and_nothing_else(fault: str, failed: set[str]) -> None:
    found = await findings(fault)
    assert those(found, Status.FAIL) == failed, found
    assert all(found[check].todo for check in failed)


SLOW = """
import anyio
from guestmux_session import Agent, command
class Slow(Agent):
    name = "org.example.slow"
    version = "1"
    @command("__org.example_slow")
    async def slow(self) -> str:
        "Take half a second."
        await anyio.sleep(0.6)
        return "done"
Slow().main()
"""


async def test_a_call_is_under_way_when_it_is_cancelled(tmp_path: Path) -> None:
    (agent := tmp_path / "agent.py").write_text(SLOW)
    command = [sys.executable, str(agent)]
    found = await findings(name="org.example.slow", command=command, chosen={"__org.example_slow": {}})
    assert those(found, Status.FAIL) == set()
    cancelled = found["__org.example_slow cancelled"]
    assert cancelled.text == "the command ended, and it answers the next call"


BUGS = """
from guestmux_session import Agent, CommandError, command
class Bugs(Agent):
    name = "org.example.bugs"
    version = "1"
    @command("__org.example_wrong")
    async def wrong(self) -> int:
        "Give text for a number."
        return "text"
    @command("__org.example_raises")
    def raises(self) -> str:
        "Divide by nothing."
        return str(1 / 0)
    @command("__org.example_refuses")
    def refuses(self) -> str:
        "Do nothing."
        raise CommandError("not today")
Bugs().main()
"""


async def test_a_bug_of_a_command_is_none_of_its_answers(tmp_path: Path) -> None:
    (agent := tmp_path / "agent.py").write_text(BUGS)
    names = ["__org.example_wrong", "__org.example_raises", "__org.example_refuses"]
    chosen: dict[str, Any] = {name: {} for name in names}
    found = await findings(name="org.example.bugs", command=[sys.executable, str(agent)], chosen=chosen)
    assert found["__org.example_wrong"].status is Status.FAIL
    assert found["__org.example_raises"].text.startswith("internal error in __org.example_raises")
    assert found["__org.example_refuses"].text == "it failed, and says why: not today"
    assert those(found, Status.FAIL) <= {*names[:2], *(f"{name} in no time" for name in names[:2])}


async def test_an_agent_that_misses_a_new_eventd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_checks, "AGAIN_SECONDS", 5.0)
    found = await findings("ignores-a-new-eventd")
    assert those(found, Status.FAIL) == {"new-eventd"}
    assert those(found, Status.SKIP) == {"former-eventd"}


async def test_an_agent_that_is_refused_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_checks, "AGAIN_SECONDS", 5.0)
    found = await findings("gives-up-without-a-session")
    assert those(found, Status.FAIL) == {"not-in-session"}
    assert those(found, Status.SKIP) == {"former-eventd"}
    found = await findings("ends-without-a-session")
    assert those(found, Status.FAIL) == set()
    assert those(found, Status.SKIP) == {"not-in-session", "former-eventd", "end"}
    assert "Restart=on-failure" in found["not-in-session"].text


async def test_an_agent_that_is_silent_on_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_checks, "AGAIN_SECONDS", 5.0)
    monkeypatch.setattr(channel_checks, "SPEAK_SECONDS", 0.2)
    found = await findings("silent-on-its-channel")
    channels = {"channel", "channel-arguments", "channel-stream", "channel-lost"}
    assert those(found, Status.FAIL) == channels
    assert found["channel"].text == "no answer within 0.2 s"


SPEAKING = """
from guestmux_session import Agent, Data, Event
class Said(Data, frozen=True):
    what: str
class Speaking(Agent):
    name = "org.example.speaking"
    version = "1"
    said = Event("__org.example_SAID", Said)
    async def while_registered(self):
        await self.said({})
Speaking().main()
"""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('Said(what="this")', "2 events, all declared"),
        ('{"what": 5}', "Invalid parameter type for 'what', expected: string"),
    ],
)
async def test_an_agent_that_speaks_by_its_channel_as_well(tmp_path: Path, data: str, text: str) -> None:
    caught = "await self.said" if data.startswith("Said") else "await self.said.post"
    program = SPEAKING.replace("await self.said", caught).format(data)
    (agent := tmp_path / "agent.py").write_text(program)
    found = await findings(name="org.example.speaking", command=[sys.executable, str(agent)], chosen={})
    assert text in found["emitted"].text
    assert found["channel-lost"].status is Status.PASS


async def test_an_agent_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_checks, "LEAVE_SECONDS", 0.2)
    monkeypatch.setattr(agent_program, "LEAVE_SECONDS", 0.2)
    assert those(await findings("ignores-sigterm"), Status.FAIL) == {"end"}


async def test_an_agent_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(played_eventd, "ANSWER_SECONDS", 0.2)
    found = await findings("never-answers", chosen={})
    assert those(found, Status.FAIL) >= {*UNKNOWN, "many-calls"}
    assert "no answer" in found["unknown-command"].text


async def test_an_agent_that_dies_of_a_call() -> None:
    found = await findings("dies-of-arguments")
    assert found["unknown-command"].status is Status.PASS
    assert "it left the bus" in found["odd-arguments"].text
    assert "it ended with status 3" in found["end"].text


async def test_an_agent_that_never_registers_is_quoted_safely() -> None:
    (only,) = (await findings("says-nothing")).values()
    assert only.check == "registers"
    assert "it ended with status 4; its last words: what a day | ?[31mno configuration?[0m" in only.text


async def test_no_command_is_run_that_was_not_named(tmp_path: Path) -> None:
    (agent := tmp_path / "agent.py").write_text(
        f"""
from pathlib import Path
from guestmux_session import Agent, command
class Dangerous(Agent):
    name = "org.example.dangerous"
    version = "1"
    @command("__org.example_reboot")
    def reboot(self) -> str:
        "Reboot."
        Path({str(tmp_path)!r}, "rebooted").touch()
        return "done"
Dangerous().main()
"""
    )
    command = [sys.executable, str(agent)]
    found = await findings(name="org.example.dangerous", command=command, chosen={})
    assert those(found, Status.FAIL) == set()
    assert found["calls"].todo == "say which: --call __org.example_reboot"
    assert not (tmp_path / "rebooted").exists()
    found = await findings(name="org.example.dangerous", command=command, chosen={"__org.example_reboot": {}})
    assert found["__org.example_reboot"].status is Status.PASS
    assert (tmp_path / "rebooted").exists()


@pytest.mark.parametrize(
    ("properties", "check", "text"),
    [
        ({"comands": Variant("as", [])}, "properties", "'comands' is unknown"),
        ({"version": Variant("u", 1)}, "properties", "is of type u, not s"),
        ({"large-messages": Variant("s", "yes")}, "properties", "is of type s, not b"),
        ({"commands": Variant("s", "all")}, "properties", "is of type s, not a{ss} or as"),
        ({"commands": Variant("a{ss}", {"__a.b_c": "{"})}, "commands", "is no JSON"),
        ({"commands": Variant("as", ["say hello"])}, "commands", "is no name"),
        ({"commands": Variant("as", ["hello"])}, "commands", "no downstream prefix"),
        (
            {"commands": Variant("a{ss}", {"__a.b_c": '{"data": {"session": "str"}}'})},
            "commands",
            "for eventd",
        ),
        ({"events": Variant("as", ["SESSION_LOCK"])}, "events", "no downstream prefix"),
        ({"events": Variant("a{ss}", {"__a.b_C": '{"data": {"seq": "int"}}'})}, "events", "fills in itself"),
        ({"events": Variant("a{ss}", {"__a.b_C": '{"data": {"n": "integer"}}'})}, "events", "must be one of"),
        ({"version": Variant("s", "1" * 129)}, "version", "129 characters"),
    ],
)
def test_what_eventd_would_refuse_is_found(properties: dict[str, Variant], check: str, text: str) -> None:
    agent = Registration(":1.1", "/a", NAME, read_properties(properties))
    (failed,) = [
        each for each in declaration_checks.declaration_checks(agent, NAME) if each.status is Status.FAIL
    ]
    assert failed.check == check
    assert text in failed.text
    assert failed.todo


def test_another_name_and_none() -> None:
    for name, text in ((NAME + "s", "registered as"), ("a b", "none that eventd takes")):
        agent = Registration(":1.1", "/a", name, read_properties({}))
        wanted = name if " " in name else NAME
        first = next(declaration_checks.declaration_checks(agent, wanted))
        assert (first.check, first.status) == ("name", Status.FAIL)
        assert text in first.text


def test_the_rules_are_eventds() -> None:
    assert declaration_checks.RESERVED_MEMBERS == event_reader.RESERVED_MEMBERS
    assert declaration_checks.ROUTING_ARGUMENTS == agent_table.ROUTING_ARGUMENTS
    assert declaration_checks.SHARED == agent_table.SHARED


async def check_agent(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "guestmux_session", "check-agent", *arguments]
    done = await anyio.run_process(command, check=False, cwd=TREE)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_the_command_line() -> None:
    status, shown, _ = await check_agent(NAME, "--call", f"{HELLO}={{}}", "--", *FAULTY)
    assert status == 0
    assert "\nPASS  unknown-command " in shown
    assert "0 failed, 1 not looked at. The agent does what it has to" in shown
    calls = ("--call", HELLO, "--call", f'{HELLO}={{"a": 1}}', "--call", "__org.example_other")
    status, shown, _ = await check_agent("--json", NAME, *calls, "--", *FAULTY)
    checks = [json.loads(line)["check"] for line in shown.splitlines()]
    assert status == 1
    assert {f"{HELLO}", f"{HELLO} (2)", f"{HELLO} (2) cancelled", "__org.example_other"} <= set(checks)
    status, shown, _ = await check_agent("--json", NAME, "--", *FAULTY, "cancel-fails")
    lines = [json.loads(line) for line in shown.splitlines()]
    assert status == 1
    assert [line["check"] for line in lines if line["status"] == "FAIL"] == ["cancel"]


async def test_nobody_reads_any_more() -> None:
    command = [sys.executable, "-m", "guestmux_session", "check-agent", NAME, "--", *FAULTY]
    read, write = os.pipe()
    os.close(read)
    try:
        done = await anyio.run_process(command, stdout=write, check=False, cwd=TREE)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (3, b"")


async def test_what_cannot_be_checked() -> None:
    status, shown, said = await check_agent(NAME, "--", "/nowhere/agent")
    assert (status, shown) == (3, "")
    assert said == "guestmux-session: /nowhere/agent cannot be started: No such file or directory\n"


@pytest.fixture
def own_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a user has installed for guestmux-agent@NAME.service."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".local/lib/guestmux-agents" / NAME
    folder.mkdir(parents=True)
    words = shlex.join(FAULTY)
    (folder / "agent").write_text(f"#!/bin/sh\npwd >cwd\ncd {shlex.quote(str(TREE))} && exec {words}\n")
    (folder / "agent").chmod(0o755)
    return folder


async def test_an_agent_that_is_installed_is_found_by_its_name(
    system_bus: PrivateBus, own_agent: Path
) -> None:
    status, shown, _ = await check_agent(NAME, "--bus", system_bus.address, "--call", HELLO)
    assert status == 0, shown
    assert shown.startswith(f"{NAME}: env --chdir={own_agent} PYTHONPATH=")
    assert "SKIP  live                eventd cannot be asked whether it is registered: eventd is not" in shown
    assert f"PASS  {HELLO} cancelled" in shown
    assert (own_agent / "cwd").read_text() == f"{own_agent}\n"
    status, shown, said = await check_agent(NAME, "--bus", system_bus.address, "--live")
    assert (status, shown) == (3, "")
    assert said.startswith("guestmux-session: eventd is not there")


async def test_the_stock_agent_is_found_by_its_name(system_bus: PrivateBus) -> None:
    status, shown, _ = await check_agent("guestmux-session", "--bus", system_bus.address)
    assert status == 0, shown
    assert "PASS  registers" in shown


def test_what_a_host_has_pushed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for system, store in enumerate(("users", "systems")):
        place = Place(tmp_path / store, "alice", system=bool(system))
        monkeypatch.setattr(installed, f"{('user', 'system')[system]}_place", lambda place=place: place)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert installed_command(NAME) == []
    (tmp_path / "systems" / NAME).mkdir(parents=True)
    (tmp_path / "systems" / NAME / "current").symlink_to("1.0")
    assert installed_command(NAME)[-3:] == ["run-pushed-agent", "--system", NAME]
    (tmp_path / "users" / NAME).mkdir(parents=True)
    (tmp_path / "users" / NAME / "current").symlink_to("1.0")
    assert installed_command(NAME)[-2:] == ["run-pushed-agent", NAME]
    (tmp_path / "users" / NAME / "current").unlink()
    (tmp_path / "users" / NAME / "current").write_text("no link")
    assert installed_command(NAME)[-2:] == ["--system", NAME]
    assert installed_command(f"../systems/{NAME}") == []


@pytest.mark.parametrize(
    "options",
    [
        ["--live", "--call", "x"],
        ["--live", "--", "a"],
        ["--call", "x"],
        ["--call", "x={", "--", "a"],
        ["--call", "x=[]", "--", "a"],
        [],
    ],
)
def test_wrong_options(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check-agent", *([NAME] if options else []), *options])
    assert caught.value.code == 2
    capsys.readouterr()


async def test_without_a_command_eventd_is_asked(system_bus: PrivateBus) -> None:
    async with standin_logind(system_bus.address) as logind:
        session = await logind.control.login("tester", os.getuid(), id="c1")
        await logind.control.add_process(session, os.getpid())
        status, _, said = await check_agent(NAME, "--bus", system_bus.address)
        assert status == 3
        assert said.startswith("guestmux-session: eventd is not there")
        with running_eventd(system_bus.address):
            status, shown, _ = await check_agent(NAME, "--bus", system_bus.address)
            assert status == 1
            assert "start it in a session of yours" in shown
            async with bare_agent(system_bus.address) as agent:
                await agent.register(NAME)
                status, shown, _ = await check_agent(NAME, "--bus", system_bus.address)
            assert status == 0
            assert "registered in session c1" in shown
