"""What doctors print."""

from __future__ import annotations

from guestmux_protocol.findings import Finding, as_json, as_lines, exit_status, note, ok, problem

ALL = [ok("bus", "reachable"), note("qemu-ga", "runs"), problem("port a", "missing", "plug it in")]


def test_lines_are_aligned_and_counted() -> None:
    assert list(as_lines(ALL)) == [
        "ok       bus      reachable",
        "note     qemu-ga  runs",
        "problem  port a   missing",
        "                  -> plug it in",
        "1 problem, 1 note",
    ]


def test_nothing_found() -> None:
    assert list(as_lines([])) == ["no problems, no notes"]
    assert as_json([]) == {"problems": 0, "findings": []}


def test_only_problems_fail() -> None:
    assert [exit_status(found) for found in ([], ALL[:2], ALL)] == [0, 0, 1]


def test_for_programs() -> None:
    assert as_json(ALL[2:]) == {
        "problems": 1,
        "findings": [{"level": "problem", "check": "port a", "what": "missing", "do": "plug it in"}],
    }


def test_text_of_others_cannot_reach_the_terminal() -> None:
    evil = "\x1b[2J\nok  all is well\u202e\ud800"
    lines = list(as_lines([Finding("problem", evil, evil, evil)]))
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
