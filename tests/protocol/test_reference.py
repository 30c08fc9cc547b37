"""The reference pages: nothing is missing, every link leads somewhere, and a stale page is named."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from guestmux_protocol.commands import NATIVE
from guestmux_protocol.events import EVENTS
from guestmux_protocol.guest import GUEST
from guestmux_protocol.limits import Limits
from guestmux_protocol.messages import Request
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from guestmux_protocol.reference import commands_page, events_page, members_table
from guestmux_protocol.reference_dialects import limits_table, state_diagram, transcript
from guestmux_protocol.registry import Command, EventType, declared_command
from guestmux_protocol.schema import (
    ANY,
    ANYTHING,
    INT,
    NOTHING,
    NULL,
    STR,
    Alternate,
    Array,
    Enumeration,
    Member,
    Object,
)
from guestmux_protocol.session_commands import SESSION

SCRIPT = Path(__file__).parents[2] / "docs" / "build_reference.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (commands_page("T", "I", NATIVE.values()), NATIVE),
        (commands_page("T", "I", SESSION.values()), SESSION),
        (commands_page("T", "I", GUEST.values()), GUEST),
        (events_page("T", "I", EVENTS.values()), EVENTS),
    ],
)
def test_all_are_there_and_all_links_lead_somewhere(page: str, names: dict[str, object]) -> None:
    headings = re.findall(r"^##+ `?([^`\n]+)`?$", page, re.MULTILINE)
    anchors = [heading.lower() for heading in headings]
    assert set(names) <= set(headings)
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(anchors)
    assert "None" not in page


def test_a_command() -> None:
    inner = Object((Member("x", INT, required=False, default="0"),), name="Inner", doc="Inside.")
    taken = Object(
        (
            Member("mode", Enumeration(("a", "b")), doc="Either a|b\nor none."),
            Member("ref", Alternate((Array(inner), NULL)), required=False),
        )
    )
    assert commands_page("Title", "Words.", [Command("do", "Does.", taken, NOTHING)]) == (
        "# Title\n\nWords.\n\n- [`do`](#do)\n\n## `do`\n\nDoes.\n\n"
        "| argument | type | given | meaning |\n| --- | --- | --- | --- |\n"
        "| `mode` | `a` or `b` | always | Either a\\|b or none. |\n"
        "| `ref` | array of [Inner](#inner), or null | optional |  |\n\n"
        "Returns an empty object.\n\n## Types\n\n### Inner\n\nInside.\n\n"
        "| member | type | given | meaning |\n| --- | --- | --- | --- |\n"
        "| `x` | integer | optional, else `0` |  |\n"
    )


def test_commands_without_types() -> None:
    page = commands_page("T", "", [declared_command("x", ""), Command("y", "", NOTHING, ANYTHING)])
    assert page == (
        "# T\n\n- [`x`](#x)\n- [`y`](#y)\n\n## `x`\n\nTakes any arguments.\n\nReturns any.\n\n"
        "## `y`\n\nReturns an object with any members.\n"
    )


def test_an_event() -> None:
    data = Object((Member("name", STR),))
    page = events_page("T", "I", [EventType("E", "Was.", data, "last"), EventType("F", "Is.", NOTHING)])
    assert page == (
        "# T\n\nI\n\n- [`E`](#e)\n- [`F`](#f)\n\n## `E`\n\nWas.\n\n"
        "| data | type | given | meaning |\n| --- | --- | --- | --- |\n| `name` | string | always |  |\n\n"
        "Journal: the last value.\n\n## `F`\n\nIs.\n\nJournal: every one.\n"
    )


def test_commands_of_one_port_say_so() -> None:
    page = commands_page("T", "I", [NATIVE["query-version"], NATIVE["guest-ping"]])
    assert page.count("On `qmp` ports only.") == 1


def test_a_command_that_leaves_nobody_to_answer_says_so() -> None:
    page = commands_page("T", "I", [GUEST["guest-shutdown"], GUEST["guest-set-time"]])
    assert page.count("Answers only where it fails.") == page.count("Returns an empty object.") == 1


def test_a_stream_says_so() -> None:
    page = commands_page("T", "I", [GUEST["guest-file-download"], GUEST["guest-connect"]])
    assert page.count("A stream, on the mux dialect alone. Opening it answers ") == 2
    assert "answers [FileStat](#filestat)." in page


def test_members() -> None:
    assert members_table("m", [Member("a", ANY)]).endswith("\n| `a` | any | always |  |")


def test_the_state_diagram_has_each_transition() -> None:
    diagram = state_diagram()
    assert "    NEGOTIATING --> COMMANDS : qmp_capabilities\n" in diagram
    assert "    NEGOTIATING --> NEGOTIATING : any other command, refused\n" in diagram
    assert "    COMMANDS --> COMMANDS : qmp_capabilities, refused\n" in diagram
    assert "    COMMANDS --> COMMANDS : any other command\n" in diagram
    assert diagram.count("CommandNotFound") == 2


def test_limits() -> None:
    assert "| tokens | 5,000 |" in limits_table(Limits(tokens=5000))


def run(request: Request) -> str:
    return f"ran {request.command}"


def test_a_conversation_is_what_the_dialect_says() -> None:
    requests = [b'{"execute": "guest-sync-delimited"}{"execute": 5}\n']
    assert transcript(QgaDialect(), requests, run).splitlines() == [
        "```text",
        'host   {"execute": "guest-sync-delimited"}{"execute": 5}',
        'guest  <0xFF>{"return": "ran guest-sync-delimited"}',
        'guest  {"error": {"class": "GenericError", "desc": "QMP input member \'execute\' must be a string"}}',
        "```",
    ]
    assert transcript(QmpDialect(), [], run).splitlines()[1].startswith('guest  {"QMP": ')


def test_a_stale_page_is_named_and_mended(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for page in script.DIRECTORY.iterdir():
        shutil.copy(page, tmp_path)
    script.main([], tmp_path)
    capsys.readouterr()
    (tmp_path / "events.md").write_text("old")
    (tmp_path / "commands.md").unlink()
    dialects = (tmp_path / "dialects.md").read_text()
    (tmp_path / "dialects.md").write_text(dialects.replace("64 MiB", "1 MiB"))
    assert script.main(["--check"], tmp_path) == 1
    stale = capsys.readouterr().err
    assert [name for name in script.PAGES if name in stale] == ["commands.md", "events.md", "dialects.md"]
    assert (tmp_path / "events.md").read_text() == "old"
    assert script.main([], tmp_path) == 0
    assert script.main(["--check"], tmp_path) == 0
    assert (tmp_path / "dialects.md").read_text() == dialects


def test_marks_that_were_lost_are_named(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "dialects.md").write_text("# Dialects\n")
    with pytest.raises(SystemExit, match="lacks the marks of its part 'limits'"):
        script.main([], tmp_path)
