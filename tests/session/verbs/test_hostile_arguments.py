"""Whatever a host sends: file and process commands and streams answer, with a result or in words, and that is all."""

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestmux_protocol.guest import GUEST
from guestmux_protocol.schema import INT64_MAX, INT64_MIN, Alternate, Array, Enumeration, Object, Scalar, Type
from guestmux_session.declarations import commands_of
from guestmux_session.verbs.checksums import Checksums
from guestmux_session.verbs.connections import Connections
from guestmux_session.verbs.downloads import Downloads
from guestmux_session.verbs.extents import Extents
from guestmux_session.verbs.file_changes import FileChanges
from guestmux_session.verbs.file_facts import FileFacts
from guestmux_session.verbs.files import Files
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import SystemSurroundings
from guestmux_session.verbs.uploads import Uploads
from tests.support.stream_verbs import Refused, serving
from tests.support.verbs import Verbs, end_all

NUMBERED = sorted(
    name
    for part in (Files(), Processes(SystemSurroundings()))
    for name, served in commands_of(part).items()
    if not served.description.stream
)

LOOKING = ("stat", "list", "extents", "checksum", "download")
CHANGING = ("make-directory", "make-symlink", "rename", "remove", "set-attributes", "upload")

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
NAMES = st.sampled_from(["", "\0", "w\0b", "w", "w/x", "w-é", "w\n", "x" * 5000, "\ud800", "dy8=", "w-new"])
"""For what changes files: none leads out of where this is tried, which may be as root."""

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


def fitting(kind: Type, texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Any]:
    """Values of a type, none of them a reasonable one."""
    if isinstance(kind, Scalar):
        numbers = st.sampled_from([0.0, 0.001, -1.0, 1e300])
        return {"str": texts, "int": INTEGERS, "number": numbers, "bool": st.booleans()}[kind.name]
    if isinstance(kind, Array):
        return st.lists(fitting(kind.items, texts), max_size=3)
    if isinstance(kind, Enumeration):
        return st.sampled_from(kind.values)
    if isinstance(kind, Alternate):
        return st.one_of([fitting(choice, texts) for choice in kind.types])
    return members(kind, partial(fitting, texts=texts))


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


async def answer_of_streams(name: str, asked: dict[str, Any]) -> str:
    """What is said where everything that needs no numbers is served; empty where nothing was refused."""
    parts = FileFacts(), FileChanges(), Extents(), Checksums(), Downloads(), Uploads(), Connections()
    try:
        async with serving(*parts) as agent:
            if not GUEST[name].stream:
                await agent.get(name, **asked)
                return ""
            async with agent.open(name, **asked) as stream:
                await stream.write(b"some")
                await stream.end()
                await stream.read_all()
                await stream.result()
    except Refused as error:
        return str(error)
    finally:
        for part in parts:
            if isinstance(part, Checksums | Downloads | Uploads):
                part.close_all()
    return ""


@pytest.mark.parametrize("name", ["guest-connect", *(f"guest-file-{verb}" for verb in (*LOOKING, *CHANGING))])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_files_as_wholes_and_streams_answer_as_well(name: str, data: st.DataObject) -> None:
    texts = NAMES if name.removeprefix("guest-file-") in CHANGING else TEXTS
    kind = GUEST[name].arguments
    asked = data.draw(members(kind, partial(fitting, texts=texts)))
    said = asyncio.run(
        answer_of_streams(name, {key: value for key, value in asked.items() if fits_json(value)})
    )
    assert "Traceback" not in said
    assert "internal error" not in said
    assert len(said) < 1000


def fits_json(value: Any) -> bool:
    """Whether a mux connection's JSON has it at all: half a character is refused before a command sees it."""
    return "\\ud8" not in ascii(value)


@pytest.mark.parametrize("name", NUMBERED)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_answer_is_a_result_or_an_error_in_words(name: str, data: st.DataObject) -> None:
    given = asyncio.run(answer(name, data.draw(arguments(name))))
    if "error" in given:
        assert given["error"]["desc"]
        assert "Traceback" not in given["error"]["desc"]
        assert len(given["error"]["desc"]) < 1000
