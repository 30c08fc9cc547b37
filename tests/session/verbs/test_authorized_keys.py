"""Keys in a home whose user is no friend: real files, real links, and who owns them afterwards."""

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from guestmux_protocol.guest.accounts import (
    GuestSshAddAuthorizedKeys,
    GuestSshGetAuthorizedKeys,
    GuestSshRemoveAuthorizedKeys,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs.authorized_keys import AuthorizedKeys
from guestmux_session.verbs.user_files import MAX_FILE

ROOT = os.geteuid() == 0
UID = 54321 if ROOT else os.getuid()
OTHER_UID = 54322

needs_root = pytest.mark.skipif(not ROOT, reason="needs root: files of several users")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "alice"
    home.mkdir()
    os.chown(home, UID, UID if ROOT else -1)
    return home


@pytest.fixture
def keys(home: Path) -> AuthorizedKeys:
    def find(name: str) -> pwd.struct_passwd:
        if name != "alice":
            raise KeyError(name)
        gid = UID if ROOT else os.getgid()
        return pwd.struct_passwd(("alice", "x", UID, gid, "", str(home), "/bin/sh"))

    return AuthorizedKeys(find)


def get(keys: AuthorizedKeys) -> list[str]:
    return keys.get(GuestSshGetAuthorizedKeys(username="alice")).keys


def add(keys: AuthorizedKeys, *given: str, reset: bool = False) -> None:
    keys.add(GuestSshAddAuthorizedKeys(username="alice", keys=list(given), reset=reset))


def remove(keys: AuthorizedKeys, *given: str) -> None:
    keys.remove(GuestSshRemoveAuthorizedKeys(username="alice", keys=list(given)))


def put(home: Path, text: str, uid: int = UID, mode: int = 0o600) -> Path:
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    file = folder / "authorized_keys"
    file.write_text(text)
    file.chmod(mode)
    if ROOT:
        os.chown(folder, UID, UID)
        os.chown(file, uid, uid)
    return file


def listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_first_key_makes_the_file_for_the_user_alone(keys: AuthorizedKeys, home: Path) -> None:
    add(keys, "algo key1 alice", "algo key2 alice", "algo key1 alice")
    folder = home / ".ssh"
    file = folder / "authorized_keys"
    assert file.read_text() == "algo key1 alice\nalgo key2 alice\n"
    for path, mode in ((folder, 0o700), (file, 0o600)):
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (mode, UID)
    assert listed(folder) == ["authorized_keys"]
    assert get(keys) == ["algo key1 alice", "algo key2 alice"]


def test_what_is_in_the_file_stays_in_it(keys: AuthorizedKeys, home: Path) -> None:
    file = put(home, '# mine\n\nalgo key1\nfrom="*.org" algo key2  ')
    assert get(keys) == ["algo key1", 'from="*.org" algo key2']
    add(keys, "algo key3", "algo key1")
    assert file.read_text() == '# mine\n\nalgo key1\nfrom="*.org" algo key2  \nalgo key3\n'
    remove(keys, "algo key1", "algo key9")
    assert file.read_text() == '# mine\n\nfrom="*.org" algo key2  \nalgo key3\n'


def test_reset_drops_what_was_there(keys: AuthorizedKeys, home: Path) -> None:
    file = put(home, "algo key1\n", mode=0o644)
    add(keys, "algo key2", reset=True)
    assert file.read_text() == "algo key2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    add(keys, reset=True)
    assert file.read_text() == ""
    assert get(keys) == []


def test_lines_that_are_no_text_stay_as_they_are(keys: AuthorizedKeys, home: Path) -> None:
    file = put(home, "")
    file.write_bytes(b"algo key1 caf\xe9\n")
    assert get(keys) == ["algo key1 caf\ufffd"]
    add(keys, "algo key2")
    assert file.read_bytes() == b"algo key1 caf\xe9\nalgo key2\n"


def test_where_nothing_is_nothing_is_removed_and_reading_says_so(keys: AuthorizedKeys, home: Path) -> None:
    remove(keys, "algo key1")
    assert listed(home) == []
    with pytest.raises(CommandError) as caught:
        get(keys)
    text = f"failed to read '{home}/.ssh/authorized_keys': No such file or directory"
    assert caught.value.desc == text


@pytest.mark.parametrize("change", [add, remove])
@pytest.mark.parametrize("key", ["", "# comment", "algo key\nalgo other", "algo key\r", "algo \0"])
def test_what_is_no_line_is_refused(
    keys: AuthorizedKeys, home: Path, change: Callable[..., None], key: str
) -> None:
    file = put(home, "algo key1\n")
    with pytest.raises(CommandError) as caught:
        change(keys, "algo good", key)
    assert caught.value.desc == f"invalid OpenSSH public key: '{key}'"
    assert file.read_text() == "algo key1\n"


@pytest.mark.parametrize("name", ["no-such-user", "", "a\0b"])
def test_a_user_who_does_not_exist(name: str) -> None:
    with pytest.raises(CommandError) as caught:
        AuthorizedKeys().get(GuestSshGetAuthorizedKeys(username=name))
    assert caught.value.desc == f"failed to lookup user '{name}': no such user"


def test_a_home_that_does_not_exist(keys: AuthorizedKeys, home: Path) -> None:
    home.rmdir()
    with pytest.raises(CommandError, match=r"failed to write to .*: No such file or directory"):
        add(keys, "algo key")


def test_a_linked_folder_is_not_followed(keys: AuthorizedKeys, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "authorized_keys").write_text("secret\n")
    (home / ".ssh").symlink_to(elsewhere)
    for action in (lambda: get(keys), lambda: add(keys, "algo key"), lambda: remove(keys, "secret")):
        with pytest.raises(CommandError, match=r"symbolic link, which is not followed"):
            action()
    assert (elsewhere / "authorized_keys").read_text() == "secret\n"


def test_a_linked_file_is_not_followed(keys: AuthorizedKeys, home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("secret\n")
    put(home, "").unlink()
    (home / ".ssh" / "authorized_keys").symlink_to(secret)
    for action in (lambda: get(keys), lambda: add(keys, "algo key"), lambda: remove(keys, "secret")):
        with pytest.raises(CommandError, match=r"symbolic link, which is not followed"):
            action()
    add(keys, "algo key", reset=True)
    assert secret.read_text() == "secret\n"
    assert get(keys) == ["algo key"]


@needs_root
def test_a_hard_link_to_a_secret_is_neither_read_nor_changed(
    keys: AuthorizedKeys, home: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    put(home, "").unlink()
    os.link(secret, home / ".ssh" / "authorized_keys")
    for action in (lambda: get(keys), lambda: add(keys, "algo key"), lambda: remove(keys, "secret")):
        with pytest.raises(CommandError, match=r"it is a file that the user may not read"):
            action()
    add(keys, "algo key", reset=True)
    assert (secret.read_text(), secret.stat().st_uid) == ("secret\n", 0)


@needs_root
def test_a_file_that_everybody_may_read_may_be_somebody_elses(keys: AuthorizedKeys, home: Path) -> None:
    put(home, "algo site-key\n", uid=0, mode=0o644)
    assert get(keys) == ["algo site-key"]


@needs_root
def test_another_users_folder_is_left_alone(keys: AuthorizedKeys, home: Path) -> None:
    folder = put(home, "algo key1\n").parent
    os.chown(folder, OTHER_UID, OTHER_UID)
    for action in (lambda: get(keys), lambda: add(keys, "algo key")):
        with pytest.raises(CommandError, match=r"it belongs to another user"):
            action()


def test_a_pipe_does_not_keep_anybody_waiting(keys: AuthorizedKeys, home: Path) -> None:
    file = put(home, "")
    file.unlink()
    os.mkfifo(file)
    if ROOT:
        os.chown(file, UID, UID)
    with pytest.raises(CommandError, match=r"it is no plain file"):
        get(keys)


def test_a_file_without_end_is_not_read_to_it(keys: AuthorizedKeys, home: Path) -> None:
    file = put(home, "")
    os.truncate(file, MAX_FILE + 1)
    with pytest.raises(CommandError, match=rf"it has more than {MAX_FILE} bytes"):
        get(keys)


@pytest.mark.skipif(not ROOT, reason="needs root: an immutable place")
def test_what_cannot_be_written_leaves_nothing_behind(keys: AuthorizedKeys, home: Path) -> None:
    put(home, "").unlink()
    (home / ".ssh" / "authorized_keys").mkdir()
    (home / ".ssh" / "authorized_keys" / "x").touch()
    with pytest.raises(CommandError, match=r"failed to write to"):
        add(keys, "algo key", reset=True)
    assert listed(home / ".ssh") == ["authorized_keys"]
