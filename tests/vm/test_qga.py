"""On a real virtio-serial port: guestmux-qga in the stock agent's place, and a stock agent behind eventd."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.wire_host import WireHost
from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

UNIT = "qga-under-test.service"
BACKEND = "guestmux-qemu-ga"
CONFIG = "/etc/guestmux/eventd.toml"
SYSTEM_AGENT = "guestmux-system-agent.service"


@pytest.fixture
def alone(machine: Machine) -> Iterator[Machine]:
    """The machine with guestmux-qga at its port; eventd is stopped."""
    machine.systemctl("stop", EVENTD)
    machine.run(["systemd-run", f"--unit={UNIT}", "guestmux-qga"])
    yield machine
    machine.systemctl("stop", UNIT, check=False)  # a test may have ended it
    machine.systemctl("start", EVENTD)


def value(host: WireHost, command: str, **arguments: Any) -> Any:
    reply = host.ask(command, **arguments)
    assert "return" in reply, reply
    return reply["return"]


def test_it_answers_and_runs_programs(alone: Machine) -> None:
    with alone.host("qga") as host:
        assert value(host, "guest-sync", id=7) == 7
        assert value(host, "guest-get-osinfo")["id"] == "debian"
        pid = value(host, "guest-exec", path="id", arg=["-u"], capture_output=True)["pid"]
    with alone.host("qga") as host:
        while not (status := value(host, "guest-exec-status", pid=pid))["exited"]:
            pass
        assert status["out-data"] == "MAo="


def test_the_next_host_finds_its_place(alone: Machine) -> None:
    """One that comes as soon as another left may be taken for it, so that it syncs; then everything is its own.

    The stock agent takes the half command for the beginning of its first, and hands it the replies whenever it comes.
    """
    for number in range(5):
        with alone.host("qga") as host:
            host.send(b'{"execute":"guest-get-host-name","id":"old"}' * 20 + b'{"execute":"guest-pi')
        with alone.host("qga") as host:
            sync = b'\xff{"execute":"guest-sync-delimited","arguments":{"id":%d},"id":"new"}' % number
            host.send(sync + b'{"execute":"guest-ping","id":"newer"}')
            host.skip_until(b"\xff")
            assert host.line() == b'{"return": %d, "id": "new"}' % number
            assert host.line() == b'{"return": {}, "id": "newer"}'


def test_a_signal_ends_it_with_success(alone: Machine) -> None:
    with alone.host("qga") as host:
        value(host, "guest-sync", id=1)
    alone.systemctl("stop", UNIT)
    # A unit of systemd-run's that failed stays.
    assert alone.systemctl("is-failed", UNIT, check=False) != "failed"


@pytest.fixture
def behind(machine: Machine) -> Iterator[Machine]:
    """The machine with a stock qemu-ga behind eventd, and no system agent."""
    with_agent = machine.systemctl("is-active", SYSTEM_AGENT, check=False) == "active"
    if with_agent:
        machine.systemctl("stop", SYSTEM_AGENT)
    machine.run(["cp", CONFIG, "/root/eventd.toml"])
    machine.run(f"sed -i '1i backend = \"unix-connect:/run/{BACKEND}.sock\"' {CONFIG}")
    machine.systemctl("start", f"{BACKEND}.socket")
    machine.systemctl("restart", EVENTD)
    yield machine
    machine.run(["cp", "/root/eventd.toml", CONFIG])
    machine.systemctl("restart", EVENTD)
    machine.systemctl("stop", f"{BACKEND}.socket", f"{BACKEND}.service")
    if with_agent:
        machine.systemctl("start", SYSTEM_AGENT)


def wait_served(machine: Machine, host: WireHost) -> None:
    machine.wait_for("the stock agent's commands", lambda: "return" in host.ask("guest-get-osinfo"))


def test_a_stock_agent_behind_eventd(behind: Machine) -> None:
    assert behind.run(["stat", "-c", "%U %a", f"/run/{BACKEND}.sock"]).stdout.split() == ["guestmux", "600"]
    with behind.host("qga") as host:
        wait_served(behind, host)
        handle = value(host, "guest-file-open", path="/etc/hostname")
        assert value(host, "guest-file-read", handle=handle)["eof"]
        behind.systemctl("kill", "--signal=KILL", f"{BACKEND}.service")
        wait_served(behind, host)
        assert "is gone" in host.ask("guest-file-read", handle=handle)["error"]["desc"]
        assert value(host, "guest-fsfreeze-status") == "thawed"
