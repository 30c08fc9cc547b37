"""A directory as a bundle: what is read, what is signed, what is none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from guestmux import BundleError, LocalFileError
from guestmux.agent_bundle import read_bundle, sign_bundle
from guestmux_protocol.agent_bundle import MAX_FILES, NAMESPACE, parse_manifest
from tests.support.bundles import NAME, Key

TOML = f'name = "{NAME}"\nversion = "1.0"\nexec = ["run.py", "--fast"]\n'


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With a program, something beside it, and what does not belong into a guest."""
    path = tmp_path / "clock"
    for folder in ("lib", "__pycache__", ".git"):
        (path / folder).mkdir(parents=True)
        (path / folder / "file").write_text(folder)
    (path / "agent.toml").write_text(TOML)
    (path / "run.py").write_text("#!/usr/bin/python3\n")
    (path / "run.py").chmod(0o755)
    return path


def test_a_directory_that_is_not_signed(directory: Path) -> None:
    bundle = read_bundle(directory)
    assert bundle.signature == ""
    assert parse_manifest(bundle.text) == bundle.manifest
    assert [(file.path, file.size, file.executable) for file in bundle.manifest.files] == [
        ("agent.toml", len(TOML), False),
        ("lib/file", 3, False),
        ("run.py", 19, True),
    ]


def test_a_signature_is_one_that_ssh_keygen_verifies(directory: Path, key: Key, tmp_path: Path) -> None:
    bundle = sign_bundle(directory, key.path)
    signers = tmp_path / "signers"
    signers.write_text(f"*@* {key.public}")
    signature = directory / "MANIFEST.sig"
    options = ["-f", str(signers), "-I", "a@b", "-n", NAMESPACE, "-s", str(signature)]
    command = ["ssh-keygen", "-Y", "verify", *options]
    subprocess.run(command, input=bundle.text, check=True, stdout=subprocess.DEVNULL)
    assert read_bundle(directory) == bundle
    assert bundle.signature == signature.read_text()
    assert json.loads((directory / "MANIFEST").read_bytes())["name"] == NAME
    assert sign_bundle(directory, key.path).manifest == bundle.manifest


@pytest.mark.parametrize("change", ["run.py", "agent.toml", "lib/new", "mode"])
def test_what_has_changed_since_it_was_signed(directory: Path, key: Key, change: str) -> None:
    sign_bundle(directory, key.path)
    if change == "mode":
        (directory / "lib/file").chmod(0o755)
    else:
        with (directory / change).open("a") as file:
            file.write("# changed\n")
    with pytest.raises(BundleError, match="has changed since it was signed"):
        read_bundle(directory)


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("name = ", "agent.toml: Invalid value"),
        (TOML.replace('"1.0"', "1.0"), r"Expected `str`, got `float` - at `\$.version`"),
        (TOML.replace('"1.0"', '"v1.0"'), "agent.toml: the version begins with a digit"),
        (TOML + "more = 1\n", "unknown field `more`"),
        (TOML.replace("run.py", "other"), "'other' is none of the bundle's files"),
        (TOML.replace("run.py", "lib/file"), "'lib/file' is not executable"),
        (TOML.replace(NAME, "guestmux-session"), "guestmux's own"),
        (TOML + "register-seconds = 0\n", "register-seconds"),
    ],
)
def test_what_agent_toml_must_not_say(directory: Path, toml: str, reason: str) -> None:
    (directory / "agent.toml").write_text(toml)
    with pytest.raises(BundleError, match=reason):
        read_bundle(directory)


def test_what_is_no_file(directory: Path) -> None:
    (directory / "link").symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match="link: neither a file nor a directory"):
        read_bundle(directory)
    (directory / "link").unlink()
    (directory / "lib" / "folder").symlink_to("/etc")
    with pytest.raises(BundleError, match="folder: neither"):
        read_bundle(directory)
    (directory / "lib" / "folder").unlink()
    os.mkfifo(directory / "pipe")
    with pytest.raises(BundleError, match="pipe: neither"):
        read_bundle(directory)


def test_too_many_files(directory: Path) -> None:
    for number in range(MAX_FILES):
        (directory / "lib" / str(number)).touch()
    with pytest.raises(BundleError, match="more than 2000 files"):
        read_bundle(directory)


def test_a_directory_that_is_none(tmp_path: Path, directory: Path) -> None:
    with pytest.raises(LocalFileError, match=r"agent.toml: No such file"):
        read_bundle(tmp_path / "none")
    (directory / "agent.toml").unlink()
    with pytest.raises(LocalFileError, match=r"agent.toml: No such file"):
        read_bundle(directory)


def test_a_key_that_does_not_sign(directory: Path, key: Key) -> None:
    with pytest.raises(LocalFileError, match=r"agent\.toml: "):
        sign_bundle(directory, directory / "agent.toml")
    assert not (directory / "MANIFEST.sig").exists()
    sign_bundle(directory, key.path)
    with pytest.raises(LocalFileError):
        sign_bundle(directory, "/nonexistent")
    assert read_bundle(directory).signature == ""


def test_without_ssh_keygen(directory: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(directory))
    with pytest.raises(LocalFileError, match="ssh-keygen is missing"):
        sign_bundle(directory, key.path)
