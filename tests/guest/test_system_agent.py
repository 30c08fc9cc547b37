"""The system agent as its package puts it: what the host may do as root, and what the configuration takes from it."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.guest.rig import Guest, booted_guest
from tests.support.wire_host import WireHost

pytestmark = pytest.mark.guest

AGENT = "guestmux-system-agent.service"
CONFIGURATION = "/etc/guestmux/system-agent.toml"
NO_ROOT = (
    'deny = ["guest-exec*", "guest-file-*", "guest-connect", "guest-set-user-password", '
    '"guest-ssh-*", "agent-*"]\n'
)
SANDBOX = Path(__file__).parents[2] / "packaging" / "examples" / "system-agent-sandbox.conf"

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBAb host"

# crypt(3) by the guest's own python3, as a login would check it.
VERIFY = """
import crypt, pathlib, sys
stored = dict(line.split(":")[:2] for line in pathlib.Path("/etc/shadow").read_text().splitlines())[sys.argv[1]]
print(crypt.crypt(sys.argv[2], stored) == stored)
"""


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    """A guest of this module's own: the tests change its users and its configuration."""
    with booted_guest() as guest:
        yield guest


@pytest.fixture
def host(guest: Guest) -> Iterator[WireHost]:
    with WireHost(guest.port("qmp")).greeted("oob") as host:
        guest.wait_for("the system agent", lambda: served(host, "guest-fsfreeze-status"))
        yield host


def served(host: WireHost, command: str) -> bool:
    return "return" in host.ask(command)


def execute(guest: Guest, host: WireHost, *words: str) -> dict[str, Any]:
    """Run a program as the host would; gives its end."""
    capture: dict[str, Any] = {"capture-output": True}
    pid = host.ask("guest-exec", path=words[0], arg=list(words[1:]), **capture)["return"]["pid"]
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(host.ask("guest-exec-status", pid=pid)["return"])
        return bool(ended["exited"])

    guest.wait_for("the program's end", has_ended)
    return ended


def configure(guest: Guest, text: str) -> None:
    guest.container.path(CONFIGURATION).write_text(text)
    guest.systemctl("restart", AGENT)


def test_the_host_is_root_without_a_session(guest: Guest, host: WireHost) -> None:
    ended = execute(guest, host, "/usr/bin/id", "-u")
    assert ended["exitcode"] == 0
    assert base64.b64decode(ended["out-data"]) == b"0\n"
    handle = host.ask("guest-file-open", path="/etc/shadow")["return"]
    data = host.ask("guest-file-read", handle=handle)["return"]["buf-b64"]
    assert base64.b64decode(data).count(b"root:*:") == 1


def test_a_password_is_one_that_a_login_takes(guest: Guest, host: WireHost) -> None:
    secret = base64.b64encode(b"n:ew secret").decode()
    reply = host.ask("guest-set-user-password", username="bob", password=secret, crypted=False)
    assert reply["return"] == {}
    assert guest.run(["python3", "-W", "ignore", "-c", VERIFY, "bob", "n:ew secret"]).stdout == "True\n"
    reply = host.ask("guest-set-user-password", username="nobody-here", password=secret, crypted=False)
    assert "nobody-here" in reply["error"]["desc"]
    assert "secret" not in reply["error"]["desc"]


def test_a_key_is_the_users(guest: Guest, host: WireHost) -> None:
    assert host.ask("guest-ssh-add-authorized-keys", username="bob", keys=[KEY])["return"] == {}
    found = guest.run("stat -c '%U %G %a' /home/bob/.ssh /home/bob/.ssh/authorized_keys").stdout
    assert found == "bob bob 700\nbob bob 600\n"
    assert host.ask("guest-ssh-get-authorized-keys", username="bob")["return"] == {"keys": [KEY]}
    guest.run("rm -r /home/bob/.ssh; ln -s /root /home/bob/.ssh", user="bob")
    reply = host.ask("guest-ssh-add-authorized-keys", username="bob", keys=[KEY])
    assert "symbolic link" in reply["error"]["desc"]
    assert guest.run("ls -A /root").stdout.count("authorized_keys") == 0


def test_what_the_host_started_outlives_a_restart_of_the_agent(guest: Guest, host: WireHost) -> None:
    host.ask("guest-exec", path="/bin/sh", arg=["-c", "echo $$ >/run/started; exec sleep 1000"])
    guest.wait_for("the program", lambda: guest.run("cat /run/started", check=False).stdout)
    guest.systemctl("restart", AGENT)
    guest.run("kill $(cat /run/started)")


def test_a_command_that_is_switched_off_is_not_served_to_anybody(guest: Guest, host: WireHost) -> None:
    configure(guest, NO_ROOT)
    guest.wait_for("the agent's return", lambda: served(host, "guest-fsfreeze-status"))
    error = host.ask("guest-exec", path="/bin/true")["error"]
    assert error["class"] == "CommandNotFound"
    journal = guest.journal(f"--unit={AGENT}")
    assert "switched off by the configuration: agent-install, " in journal
    assert served(host, "guest-get-osinfo")
    told = guest.run(["guestmux-session", "--system", "--check-config"]).stdout.splitlines()
    assert {"off guest-exec", "on  guest-shutdown"} <= set(told)


def test_what_needs_no_root_shell_runs_in_the_example_sandbox(
    guest: Guest, host: WireHost, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = guest.container.path(f"/etc/systemd/system/{AGENT}.d")
    folder.mkdir()
    (folder / "sandbox.conf").write_text(SANDBOX.read_text())
    guest.systemctl("daemon-reload")
    configure(guest, NO_ROOT)
    guest.wait_for("the agent's return", lambda: served(host, "guest-fsfreeze-status"))
    assert host.ask("guest-fsfreeze-freeze-list", mountpoints=["/nowhere"])["return"] == 0
    for command in ("guest-fstrim", "guest-get-osinfo", "guest-network-get-interfaces", "guest-get-fsinfo"):
        assert "return" in host.ask(command)
    verdict = guest.run(["systemd-analyze", "security", "--no-pager", AGENT]).stdout.splitlines()[-1]
    with capsys.disabled():
        print(f"\n{verdict}")
    (folder / "sandbox.conf").unlink()
    guest.systemctl("daemon-reload")


def test_a_wrong_configuration_opens_no_door_and_is_not_tried_again(guest: Guest, host: WireHost) -> None:
    guest.container.path(CONFIGURATION).write_text('deny = ["guest-exce"]\n')
    assert guest.run(["systemctl", "restart", AGENT], check=False).returncode != 0
    properties = ("ActiveState", "ExecMainStatus", "NRestarts")
    shown = guest.systemctl("show", f"--property={','.join(properties)}", AGENT)
    assert dict(line.split("=") for line in shown.splitlines()) == {
        "ActiveState": "failed",
        "ExecMainStatus": "78",
        "NRestarts": "0",
    }
    assert "matches no command (is 'guest-exec' meant?)" in guest.journal(f"--unit={AGENT}")
    assert "error" in host.ask("guest-exec", path="/bin/true")
    guest.systemctl("reset-failed", AGENT)
    configure(guest, "")


def test_without_the_agent_there_is_no_root_door(guest: Guest, host: WireHost) -> None:
    guest.systemctl("mask", "--now", "--runtime", AGENT)
    for command in ("guest-exec", "guest-file-open", "guest-shutdown"):
        assert "error" in host.ask(command, **({} if command == "guest-shutdown" else {"path": "/bin/true"}))
    guest.systemctl("unmask", "--runtime", AGENT)
    guest.systemctl("start", AGENT)
