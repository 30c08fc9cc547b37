"""Whatever a host sends: file and process commands answer, with a result or in words, and nothing else escapes."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestmux_protocol.guest import GUEST
from guestmux_protocol.schema import INT64_MAX, INT64_MIN, Alternate, Array, Enumeration, Object, Scalar, Type
from guestmux_session.declarations import commands_of
from guestmux_session.verbs.files import Files
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import SystemSurroundings
from tests.support.verbs import Verbs, end_all

HANDLED = {**commands_of(Files()), **commands_of(Processes(SystemSurroundings()))}
COMMANDS = sorted(name for name, served in HANDLED.items() if not served.description.stream)

REAL = 4711
"""Stands for a handle or a pid that there is."""

TEXTS = st.sampled_from(
    [
        *(
            "",
            "\0",
            "a\0b",
            "/",
            "/dev/null",
            "/proc/self/mem",
            "/nowhere/x",
            "nowhere",
            "x" * 5000,
            "../" * 900,
        ),
        *("=", "A=b", "=x", "r", "w+", "QUI=", "====", "Q", "\ud800", "é", "\n", "-c", "TERM", "0"),
    ]
)
INTEGERS = st.sampled_from([INT64_MIN, -1, 0, 1, 2, 4096, 2**31, 2**32, 48 * 2**20 + 1, INT64_MAX, REAL])
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    INTEGERS,
    st.floats(),
    TEXTS,
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, INTEGERS, max_size=2),
    st.sampled_from([2**63, -(2**63) - 1, 10**400]),
)


def fitting(kind: Type) -> st.SearchStrategy[Any]:
    """Values of a type, none of them a reasonable one."""
    if isinstance(kind, Scalar):
        numbers = st.sampled_from([0.0, 0.001, -1.0, 1e300])
        return {"str": TEXTS, "int": INTEGERS, "number": numbers, "bool": st.booleans()}[kind.name]
    if isinstance(kind, Array):
        return st.lists(fitting(kind.items), max_size=3)
    if isinstance(kind, Enumeration):
        return st.sampled_from(kind.values)
    if isinstance(kind, Alternate):
        return st.one_of([fitting(choice) for choice in kind.types])
    return members(kind, fitting)


def members(kind: Object, value: Any) -> st.SearchStrategy[dict[str, Any]]:
    required = {member.name: value(member.type) for member in kind.members if member.required}
    optional = {member.name: value(member.type) for member in kind.members if not member.required}
    return st.fixed_dictionaries(required, optional=optional)


def arguments(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly of the right types; else with anything in any place, and strangers."""
    kind = GUEST[name].arguments
    odd = st.dictionaries(st.sampled_from([*(member.name for member in kind.members), "stranger"]), ANYTHING)
    return st.one_of(members(kind, fitting), odd)


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where files with such names may be made."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


async def answer(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask where a file is open and a process runs."""
    files, processes = Files(), Processes(SystemSurroundings())
    verbs = Verbs(files, processes)
    try:
        real = {
            "handle": await verbs.get("guest-file-open", path="/dev/zero", mode="r+"),
            "pid": (await verbs.get("guest-exec-live", path="/bin/cat"))["pid"],
        }
        meant = {key: real.get(key) if value == REAL else value for key, value in asked.items()}
        return await verbs.call(name, **meant)
    finally:
        files.close_all()
        await end_all(processes)


@pytest.mark.parametrize("name", COMMANDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_answer_is_a_result_or_an_error_in_words(name: str, data: st.DataObject) -> None:
    given = asyncio.run(answer(name, data.draw(arguments(name))))
    if "error" in given:
        assert given["error"]["desc"]
        assert "Traceback" not in given["error"]["desc"]
        assert len(given["error"]["desc"]) < 1000
