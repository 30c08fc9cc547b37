"""guestmux as its packages put it: its service, its sandbox, and who may say what on the system bus."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.guest.logins import TerminalLogin, terminal
from tests.guest.rig import Guest
from tests.guest.system import GuestError

pytestmark = pytest.mark.guest

MANAGER = ("org.guestmux.Manager1", "/org/guestmux/Manager1", "org.guestmux.Manager1")

MAX_EXPOSURE = 1.0
"""Of 10; what design.md promises of `systemd-analyze security`."""

MAX_EVENTD, MAX_AGENT = 34_000, 34_000
"""KiB resident: the 35 MB that are promised, of the agent with all that it knows of desktops."""


def ask(guest: Guest, dialect: str, *requests: dict[str, object]) -> list[dict[str, Any]]:
    """One line back for each request, as a host without guestmux reads them; on qmp the greeting comes first."""
    with socket.socket(socket.AF_UNIX) as host:
        host.connect(str(guest.port(dialect)))
        lines = host.makefile("r")
        replies = [lines.readline()] if dialect == "qmp" else []
        for request in requests:
            host.sendall(json.dumps(request).encode())
            replies.append(lines.readline())
    return [json.loads(line) for line in replies]


def test_runs_as_its_own_user(guest: Guest) -> None:
    status = guest.systemctl("show", "--property=ActiveState,NRestarts,User,MainPID", "guestmux-eventd")
    properties = dict(line.split("=") for line in status.splitlines())
    assert (properties["ActiveState"], properties["NRestarts"]) == ("active", "0")
    assert guest.run(["ps", "-o", "user=", "-p", properties["MainPID"]]).stdout.strip() == "guestmux"
    capabilities = guest.run(f"grep -E '^Cap(Eff|Prm|Bnd|Amb)' /proc/{properties['MainPID']}/status").stdout
    assert {line.split()[1] for line in capabilities.splitlines()} == {"0" * 16}


def test_sandbox_is_tight(guest: Guest) -> None:
    verdict = guest.run(["systemd-analyze", "security", "--no-pager", "guestmux-eventd.service"]).stdout
    exposure = float(verdict.splitlines()[-1].split(": ")[1].split()[0])
    assert exposure <= MAX_EXPOSURE, verdict


def test_default_configuration_is_accepted(guest: Guest) -> None:
    guest.run(["guestmux-eventd", "--check-config", "--config", "/usr/share/guestmux/eventd.toml"])


def test_ports_answer(guest: Guest) -> None:
    assert ask(guest, "qga", {"execute": "guest-ping"}) == [{"return": {}}]
    greeting, negotiated = ask(guest, "qmp", {"execute": "qmp_capabilities"})
    assert "QMP" in greeting
    assert negotiated == {"return": {}}


def test_any_local_user_may_ask_the_manager(guest: Guest) -> None:
    assert guest.busctl("get-property", *MANAGER, "Version", user="carol")["type"] == "s"


@pytest.mark.parametrize("user", ["carol", None])
def test_nobody_else_may_own_the_name(guest: Guest, user: str | None) -> None:
    guest.systemctl("stop", "guestmux-eventd")
    try:
        request = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName"]
        with pytest.raises(GuestError, match="Access denied"):
            guest.busctl("call", *request, "su", "org.guestmux.Manager1", "0", user=user)
    finally:
        guest.systemctl("start", "guestmux-eventd")


@pytest.mark.parametrize("user", ["carol", None])
def test_only_eventd_may_call_agents(guest: Guest, user: str | None) -> None:
    # Any connection will do as the agent: the bus refuses before anybody looks at it.
    call = ["org.guestmux.Manager1", "/agent", "org.guestmux.Agent1", "Release"]
    with pytest.raises(GuestError, match="Access denied"):
        guest.busctl("call", *call, user=user)


def test_eventd_delays_shutdown(guest: Guest) -> None:
    inhibitors = guest.run(["systemd-inhibit", "--list", "--no-pager", "--no-legend"]).stdout
    mine = [line for line in inhibitors.splitlines() if "guestmux" in line]
    assert mine, inhibitors
    assert all("delay" in line for line in mine)
    assert {what for line in mine for what in ("shutdown", "sleep") if what in line} == {"shutdown", "sleep"}


def test_who_logs_in_has_an_agent(guest: Guest, log_in: Callable[[str], TerminalLogin]) -> None:
    alice = log_in("alice")

    def agents() -> object:
        [reply] = ask(guest, "qga", {"execute": "guest-get-sessions"})
        return {
            session["session"]: [agent["name"] for agent in session["agents"]] for session in reply["return"]
        }

    expected = {alice.session: ["guestmux-session"]}
    guest.wait_for("alice's agent", lambda: agents() == expected)


def test_both_daemons_are_small_at_rest(guest: Guest, log_in: Callable[[str], TerminalLogin]) -> None:
    log_in("alice")
    agent = guest.wait_for(
        "alice's agent", lambda: guest.run("pgrep -u alice -f guestmux-session", check=False).stdout.split()
    )[0]
    eventd = guest.systemctl("show", "--value", "--property=MainPID", "guestmux-eventd")
    # It has what it keeps once it is registered, and the host was answered.
    guest.wait_for(
        "its registration", lambda: "session-lock" in str(ask(guest, "qga", {"execute": "guest-info"}))
    )
    sizes = {name: resident(guest, pid) for name, pid in (("eventd", eventd), ("agent", agent))}
    assert sizes["eventd"] <= MAX_EVENTD, sizes
    assert sizes["agent"] <= MAX_AGENT, sizes


def resident(guest: Guest, pid: str) -> int:
    """Kilobytes."""
    return int(guest.run(f"awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status").stdout)


def test_port_on_a_terminal(own_guest: Guest) -> None:
    with terminal(own_guest) as host:
        host.raw()
        device = f"/dev/{host.tty}"
        own_guest.run(["chown", "guestmux", device])
        port = f'[[port]]\ndialect = "qga"\naddress = "device:{device}"\n'
        own_guest.run(["sh", "-c", 'printf %s "$1" >>/etc/guestmux/eventd.toml', "sh", port])
        own_guest.systemctl("restart", "guestmux-eventd")
        host.type('{"execute": "guest-sync", "arguments": {"id": 7}}')
        host.expect('{"return": 7}')


def test_port_that_is_left_to_a_stock_agent(own_guest: Guest) -> None:
    port = '[[port]]\ndialect = "qga"\naddress = "virtio:org.qemu.guest_agent.0"\n'
    with terminal(own_guest) as stock:
        own_guest.run(
            f"mkdir /dev/virtio-ports; ln -s /dev/{stock.tty} /dev/virtio-ports/org.qemu.guest_agent.0"
        )
        own_guest.run(["sh", "-c", 'printf %s "$1" >>/etc/guestmux/eventd.toml', "sh", port])
        own_guest.systemctl("restart", "guestmux-eventd")
        assert ask(own_guest, "qga", {"execute": "guest-ping"}) == [{"return": {}}]
        own_guest.wait_for(
            "the reason", lambda: "stock qemu-ga" in own_guest.journal("-u", "guestmux-eventd")
        )
