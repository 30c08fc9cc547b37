"""The pages about the host side name what there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import anyio
import click
import pytest

import guestmux
from guestmux.cli import exits
from guestmux.cli.app import root
from tests.support.standin_guest import StandInGuest
from tests.support.standin_mux import StandInStream

DOCS = Path(__file__).parents[2] / "docs"
CLI, SDK = (DOCS / "cli.md").read_text(), (DOCS / "sdk.md").read_text()


def commands(group: click.Group, prefix: str = "guestmux") -> list[str]:
    names = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        names += commands(command, path) if isinstance(command, click.Group) else [path]
    return names


@pytest.mark.parametrize("command", commands(root))
def test_every_command_is_in_the_page(command: str) -> None:
    assert f"`{command}" in CLI


@pytest.mark.parametrize(
    "status", sorted({value for name, value in vars(exits).items() if name.isupper() and type(value) is int})
)
def test_every_exit_status_is_in_the_page(status: int) -> None:
    assert f"\n| {status} | " in CLI


@pytest.mark.parametrize("name", [name for name in dir(guestmux.Guest) if not name.startswith("_")])
def test_every_method_is_in_the_page(name: str) -> None:
    # `connect` calls these.
    assert name in {"open", "keep", "close", "connected"} or name in SDK


@pytest.mark.parametrize(
    "name", [name for name in guestmux.__all__ if name.endswith(("Error", "Timeout", "Lost", "Found"))]
)
def test_every_error_is_in_the_page(name: str) -> None:
    assert f"`{name}`" in SDK


def test_every_name_that_is_exported_exists() -> None:
    assert all(hasattr(guestmux, name) for name in guestmux.__all__)


def test_the_examples_are_python() -> None:
    for example in examples(SDK):
        compile(example, "docs/sdk.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["mux"])
async def test_the_examples_of_streams_run(
    guest: guestmux.Guest, standin: StandInGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(stream: StandInStream) -> None:
        stream.accept({"size": 5})
        stream.send(b"hello")
        stream.close({"bytes": 5})

    standin.streams = dict.fromkeys(("__org.example_tail", "guest-connect"), answer)
    section = SDK.partition("\n## Streams\n")[2].partition("\n## ")[0]
    names: dict[str, Any] = {"guest": guest, "guestmux": guestmux, "anyio": anyio}
    for example in examples(section):
        if "guest.stream(" in example:
            await run(example, names)
    assert capsys.readouterr().out == "5\nhello{'bytes': 5}\n"
    assert names["page"] == b"hello"
    (asked,) = standin.opened["guest-connect"]
    await standin.until(lambda: asked.closed is not None)
    assert asked.received == b"GET / HTTP/1.0\r\n\r\n"


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


async def run(example: str, names: dict[str, Any]) -> None:
    code = compile(example, "docs/sdk.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, names)
