"""The pages about the host side name what there is."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

import guestmux
from guestmux.cli import exits
from guestmux.cli.app import root

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
