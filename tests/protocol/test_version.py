"""The version is said in one voice."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from guestmux_protocol.commands import VersionInfo
from guestmux_protocol.version import PACKAGE, VERSION, version_info


def test_it_is_the_distributions() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_it_has_the_form_that_query_version_promises() -> None:
    info = msgspec.convert(version_info(), VersionInfo)
    assert f"{info.qemu.major}.{info.qemu.minor}.{info.qemu.micro}" == VERSION
    assert info.package == PACKAGE
