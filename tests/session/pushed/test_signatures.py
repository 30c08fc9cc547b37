"""Whose signatures are taken: real keys, real ssh-keygen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guestmux_session.errors import CommandError
from guestmux_session.pushed import signatures
from guestmux_session.pushed.signatures import Signatures
from tests.support.bundles import Key

TEXT = "the manifest\n"
WHO = "org.example.clock@alice"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def signers(tmp_path: Path, key: Key) -> Path:
    path = tmp_path / "agent-signers"
    path.write_text(f"# a comment\n*@alice {key.public}")
    path.chmod(0o644)
    return path


def check(signers: Path, signature: str, text: str = TEXT, who: str = WHO, at: float | None = None) -> str:
    return Signatures(signers, owner=os.getuid()).signer(text.encode(), signature, who, at=at)


def refused(signers: Path, signature: str, text: str = TEXT, who: str = WHO) -> str:
    with pytest.raises(CommandError) as caught:
        check(signers, signature, text, who)
    return str(caught.value)


def test_a_trusted_key(signers: Path, key: Key) -> None:
    assert check(signers, key.sign(TEXT)).startswith("ED25519 SHA256:")


def test_a_text_that_was_changed_after_signing(signers: Path, key: Key) -> None:
    assert "incorrect signature" in refused(signers, key.sign(TEXT), TEXT + " ")


def test_a_signature_for_something_else(signers: Path, key: Key) -> None:
    assert "namespace does not match" in refused(signers, key.sign(TEXT, namespace="file"))


def test_a_key_that_nobody_trusts(signers: Path, tmp_path: Path) -> None:
    assert "not for this agent and user" in refused(signers, Key(tmp_path).sign(TEXT))


@pytest.mark.parametrize("who", ["org.example.clock@bob", "org.example.clock@root", "alice", "@alice@root"])
def test_a_key_for_another_user(signers: Path, key: Key, who: str) -> None:
    assert "not for this agent and user" in refused(signers, key.sign(TEXT), who=who)


def test_principals_limit_the_agents(signers: Path, key: Key) -> None:
    signers.write_text(f"org.example.*@*,!org.example.door@* {key.public}")
    assert check(signers, key.sign(TEXT))
    assert "not for this agent" in refused(signers, key.sign(TEXT), who="com.example.clock@alice")


def test_a_key_for_other_namespaces(signers: Path, key: Key) -> None:
    signers.write_text(f'*@alice namespaces="git,file" {key.public}')
    assert "guestmux-agent@guestmux.org" in refused(signers, key.sign(TEXT))


def test_a_key_that_has_expired(signers: Path, key: Key) -> None:
    signers.write_text(f'*@alice valid-before="20200102" {key.public}')
    assert "key has expired" in refused(signers, key.sign(TEXT))
    # 1 January 2020, at noon: what was installed in its time may start.
    assert check(signers, key.sign(TEXT), at=1577880000.0)


@pytest.mark.parametrize(
    "signature", ["", "nonsense", "-----BEGIN SSH SIGNATURE-----\n", "\0", "ä", "x" * 16384]
)
def test_what_is_no_signature(signers: Path, signature: str) -> None:
    assert "trusts no such signature" in refused(signers, signature)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_to_trusts_nobody(signers: Path, key: Key, mode: int) -> None:
    signers.chmod(mode)
    assert "can be written by others" in refused(signers, key.sign(TEXT))


def test_a_file_of_somebody_else_trusts_nobody(signers: Path, key: Key) -> None:
    with pytest.raises(CommandError, match="can be written by others"):
        Signatures(signers, owner=os.getuid() + 1).signer(TEXT.encode(), key.sign(TEXT), WHO)


def test_no_file_trusts_nobody(tmp_path: Path, key: Key) -> None:
    assert "no key is trusted in this guest" in refused(tmp_path / "none", key.sign(TEXT))


def test_without_ssh_keygen_nothing_is_taken(
    signers: Path, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = key.sign(TEXT)
    monkeypatch.setattr(signatures, "ADMIN_PATH", str(tmp_path))
    assert "ssh-keygen (openssh-client) is missing" in refused(signers, signature)
