"""A bundle's manifest: what is one, and what must never be taken for one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.agent_bundle import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_FILES,
    MAX_MANIFEST,
    AgentManifest,
    BundleError,
    is_agent_name,
    manifest_text,
    parse_manifest,
    signed_identity,
    version_key,
)

SUM = "0" * 64


def file(path: str = "run.py", **members: Any) -> dict[str, Any]:
    return {"path": path, "size": 3, "sha256": SUM, "executable": True, **members}


def manifest(**members: Any) -> bytes:
    whole = {
        "guestmux-agent": 1,
        "name": "org.example.clock",
        "version": "1.0",
        "exec": ["run.py", "--fast"],
        "files": [file()],
    }
    return json.dumps({**whole, **members}).encode()


def refused(text: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        parse_manifest(text)
    return str(caught.value)


def test_a_manifest() -> None:
    read = parse_manifest(
        manifest(files=[file(), file("lib/data", executable=False)], environment={"A": "b"})
    )
    assert (read.name, read.version, read.program, read.size) == ("org.example.clock", "1.0", "run.py", 6)
    assert read.register_seconds == 30
    assert parse_manifest(manifest_text(read)) == read
    assert signed_identity(read.name, "alice") == "org.example.clock@alice"


@pytest.mark.parametrize(
    "path",
    [
        "../run.py",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "a/./b",
        "a/",
        ".",
        "..",
        "a\nb",
        "a\0b",
        "a\x1b[2Jb",
        "MANIFEST",
        "MANIFEST.sig",
        "/".join("a" * (MAX_DEPTH + 1)),
        "ä" * 200,
    ],
)
def test_a_path_that_leads_elsewhere(path: str) -> None:
    assert "path" in refused(manifest(files=[file(), file(path)])) or path.startswith("MANIFEST")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"files": [file(), file()]}, "'run.py' is there twice"),
        ({"files": [file(), file("a"), file("a/b")]}, "'a' is a file and a directory"),
        ({"files": [file(), *(file(f"f{number}") for number in range(MAX_FILES))]}, "length <= 2000"),
        ({"files": [file(size=MAX_BYTES), file("other")]}, "more than 128 MiB"),
        ({"files": [file(size=MAX_BYTES + 1)]}, "files[0].size"),
        ({"files": [file(size=-1)]}, "files[0].size"),
        ({"files": [file(size=1.5)]}, "files[0].size"),
        ({"files": [file(sha256="0" * 63)]}, "sha256"),
        ({"files": [file(sha256="0" * 64 + "\n")]}, "sha256"),
        ({"files": [file(mode=0o4755)]}, "unknown field `mode`"),
        ({"files": []}, "length >= 1"),
        ({"files": [file("other")]}, "exec: 'run.py' is none of the bundle's files"),
        ({"files": [file(executable=False)]}, "'run.py' is not executable"),
        ({"exec": []}, "length >= 1"),
        ({"exec": ["run.py", "a\0b"]}, "an argument has a NUL"),
        ({"exec": ["/bin/sh"]}, "none of the bundle's files"),
        ({"name": "../up"}, "name"),
        ({"name": "clock\n"}, "name"),
        ({"name": "guestmux-session"}, "guestmux's own"),
        ({"version": "current"}, "version"),
        ({"version": "1/2"}, "version"),
        ({"version": "v1.0"}, "the version begins with a digit, and has digits, letters"),
        ({"version": 1.0}, "Expected `str`, got `float` - at `$.version`"),
        ({"name": "my agent"}, "the name begins with a letter or digit, and has more of them"),
        ({"name": "x" * 129}, "the name begins with a letter or digit, and has more of them"),
        ({"environment": {"A B": ""}}, "'A B' is no variable"),
        ({"environment": {"A": "b\0c"}}, "'A' is no variable"),
        ({"register-seconds": 601}, "register-seconds"),
        ({"guestmux-agent": 2}, "guestmux-agent"),
        ({"more": 1}, "unknown field `more`"),
        ({"files": [file(), file("\udc80")]}, "the manifest: "),
    ],
)
def test_what_a_bundle_must_not_be(members: dict[str, Any], reason: str) -> None:
    assert reason in refused(manifest(**members))


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"{", b"null", manifest() + b"x", b"[" * 100_000])
def test_what_is_no_manifest(text: bytes) -> None:
    assert refused(text).startswith("the manifest: ")


def test_a_manifest_that_is_too_long() -> None:
    assert "more than 1024 KiB" in refused(manifest() + b" " * MAX_MANIFEST)


def test_a_bundle_that_must_not_be_gets_no_manifest() -> None:
    wrong = msgspec.json.decode(manifest(files=[file("..")]), type=AgentManifest)
    with pytest.raises(BundleError, match="no path"):
        manifest_text(wrong)


@given(st.binary(max_size=200))
def test_nothing_else_than_bundle_error_escapes(data: bytes) -> None:
    for text in (data, manifest()[: len(data)] + data):
        try:
            parse_manifest(text)
        except BundleError:
            continue


ORDER = ["0.9", "1", "1.0a1", "1.0rc1", "1.0", "1.0.1", "1.0.10", "1.1", "2024.1", "2024.1-2"]


@given(st.permutations(ORDER))
def test_versions_in_their_order(versions: list[str]) -> None:
    assert sorted(versions, key=version_key) == ORDER
    assert version_key("1.0~RC1") == version_key("1.0rc1")


@pytest.mark.parametrize("name", ["a", "org.example.clock", "0-1_2.3", "x" * 128])
def test_a_name(name: str) -> None:
    assert is_agent_name(name)


@pytest.mark.parametrize("name", ["", ".locks", "-x", "a b", "a/b", "a\n", "x" * 129, "guestmux-session"])
def test_what_no_pushed_agent_is_called(name: str) -> None:
    assert not is_agent_name(name)
