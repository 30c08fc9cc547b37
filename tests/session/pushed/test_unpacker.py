"""What an unpacker writes, whatever comes: the files of the manifest, with their contents, or nothing that counts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestmux_protocol.agent_bundle import AgentManifest, BundleFile, parse_manifest
from guestmux_session.errors import CommandError
from guestmux_session.pushed.unpacker import Unpacker
from tests.support.bundles import manifest

CONTENTS = {"run": b"#!/bin/sh\n", "empty": b"", "lib/a": b"a" * 5000, "lib/deep/b": b"b", "z": b""}
WHOLE = b"".join(CONTENTS.values())


def of(contents: dict[str, bytes]) -> AgentManifest:
    return parse_manifest(manifest(contents).encode())


def unpack(folder: Path, described: AgentManifest, data: bytes, piece: int = 1 << 20) -> None:
    unpacker = Unpacker(folder, described)
    try:
        for start in range(0, len(data), piece):
            unpacker.write(data[start : start + piece])
        unpacker.finish()
    finally:
        unpacker.close()


def found(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()
    }


@pytest.mark.parametrize("piece", [1, 7, 5000, 1 << 20])
def test_the_files_come_out_as_they_were(tmp_path: Path, piece: int) -> None:
    before = os.umask(0o022)
    try:
        unpack(tmp_path, of(CONTENTS), WHOLE, piece)
    finally:
        os.umask(before)
    assert found(tmp_path) == CONTENTS
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "lib/a").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (WHOLE + b"x", "more came than the manifest"),
        (WHOLE[:-1], "'lib/deep/b' is not whole: 1 bytes less came"),
        (b"", "'run' is not whole: 10 bytes less came"),
        (b"#!/bin/SH\n" + WHOLE[10:], "'run' is not the file that the manifest names"),
        (WHOLE[:-1] + b"c", "'lib/deep/b' is not the file that the manifest names"),
    ],
)
def test_what_is_not_as_the_manifest_says(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        unpack(tmp_path, of(CONTENTS), data)


def test_a_size_that_lies(tmp_path: Path) -> None:
    honest = of(CONTENTS).files
    for size in (honest[0].size - 1, honest[0].size + 1):
        first = BundleFile(path="run", size=size, sha256=honest[0].sha256, executable=True)
        lying = AgentManifest(
            guestmux_agent=1, name="a", version="1", exec=["run"], files=[first, *honest[1:]]
        )
        folder = tmp_path / str(size)
        folder.mkdir()
        with pytest.raises(CommandError, match="'run' is not the file"):
            unpack(folder, lying, WHOLE)


def test_an_empty_file_with_anothers_checksum(tmp_path: Path) -> None:
    lying = BundleFile(path="empty", size=0, sha256="0" * 64)
    described = AgentManifest(guestmux_agent=1, name="a", version="1", exec=["run"], files=[lying])
    with pytest.raises(CommandError, match="'empty' is not the file"):
        unpack(tmp_path, described, b"")


def test_nothing_that_is_there_is_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"before")
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "run").symlink_to(outside)
    with pytest.raises(FileExistsError):
        unpack(folder, of(CONTENTS), WHOLE)
    assert outside.read_bytes() == b"before"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=40), piece=st.integers(1, 40))
def test_other_bytes_never_pass(tmp_path_factory: pytest.TempPathFactory, data: bytes, piece: int) -> None:
    contents = {"run": b"#!/bin/sh\n", "b": b"hello"}
    folder = tmp_path_factory.mktemp("bundle")
    try:
        unpack(folder, of(contents), data, piece)
    except CommandError:
        assert data != b"#!/bin/sh\nhello"
    else:
        assert found(folder) == contents
