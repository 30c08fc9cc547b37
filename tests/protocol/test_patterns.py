"""Event globs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.patterns import MAX_PATTERN_LENGTH, MAX_PATTERNS, EventFilter, PatternError

NAMES = st.text("AB_.-", max_size=8)
GLOBS = st.text("AB_.-*?", min_size=1, max_size=8)


def matches(pattern: str, name: str) -> bool:
    """The rules of a glob, written plainly."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return matches(pattern[1:], name) or (bool(name) and matches(pattern, name[1:]))
    return bool(name) and pattern[0] in ("?", name[0]) and matches(pattern[1:], name[1:])


@pytest.mark.parametrize(
    ("patterns", "name", "wanted"),
    [
        (["*"], "SESSION_LOGIN", True),
        (["SESSION_*"], "SESSION_LOGIN", True),
        (["SESSION_*"], "AGENT_GONE", False),
        (["session_*"], "SESSION_LOGIN", False),
        (["SESSION"], "SESSION_LOGIN", False),
        (["LOGIN"], "SESSION_LOGIN", False),
        (["SESSION_LOG??"], "SESSION_LOGIN", True),
        (["A", "__org.example_*"], "__org.example_TICK", True),
        (["__org.example_*"], "__orgXexample_TICK", False),
        ([], "SESSION_LOGIN", False),
    ],
)
def test_what_is_wanted(patterns: list[str], name: str, wanted: bool) -> None:
    assert (name in EventFilter(patterns)) == wanted


@given(st.lists(GLOBS, max_size=3), NAMES)
def test_it_is_a_glob(patterns: list[str], name: str) -> None:
    wanted = EventFilter(patterns)
    expected = any(matches(pattern, name) for pattern in patterns)
    assert (name in wanted, name in wanted) == (expected, expected)


def test_many_stars_cost_no_time() -> None:
    # With backtracking this outlives the time limit by ages.
    wanted = EventFilter(["*a" * (MAX_PATTERN_LENGTH // 2)])
    assert "a" * 60 + "b" * 68 not in wanted
    assert "a" * 128 in wanted


@pytest.mark.parametrize(
    "pattern", ["", " ", "[A-Z]", "A\n", "é", "A|B", "(", "\\", "A" * (MAX_PATTERN_LENGTH + 1)]
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(PatternError, match="is no event pattern"):
        EventFilter([pattern])


def test_as_many_and_as_long_as_allowed() -> None:
    longest = "A" * MAX_PATTERN_LENGTH
    EventFilter([longest, *(f"E{index}" for index in range(MAX_PATTERNS - 1)), longest])
    with pytest.raises(PatternError, match="at most 64 event patterns"):
        EventFilter(f"E{index}" for index in range(MAX_PATTERNS + 1))


def test_patterns_are_taken_back_as_they_were_given() -> None:
    wanted = EventFilter(["SESSION_*", "AGENT_*", "SESSION_LOGIN"])
    rest = wanted.without(["AGENT_*", "SESSION_LOCK"])
    assert rest.patterns == ("SESSION_*", "SESSION_LOGIN")
    assert repr(rest) == "<EventFilter SESSION_* SESSION_LOGIN>"


def test_what_it_remembers_is_bounded() -> None:
    wanted = EventFilter(["E*1"])
    names = [f"E{index}" for index in range(3000)]
    assert [name in wanted for name in names] == [name.endswith("1") for name in names]
    assert len(wanted._remembered) < len(names)
