"""A real machine's file systems, the root among them: frozen, thawed, and thawed by the next agent."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.wire_host import WireHost
from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

AGENT = "guestmux-system-agent.service"

FROZEN = "/run/guestmux-system/qga.state.isfrozen"
"""There while the agent holds file systems frozen."""

ALLOWED = ("guest-ping", "guest-info", "guest-fsfreeze-status")
"""Some of what answers while file systems are frozen, as in qemu-ga."""

# What it writes to /run is seen while the root is frozen.
WRITER = "echo $$ >/run/writer; rm -f /run/written; echo x >/root/written; echo done >/run/written"


@pytest.fixture(params=["qmp", "qga"])
def host(machine: Machine, request: pytest.FixtureRequest) -> Iterator[WireHost]:
    with machine.host(request.param) as host:
        if request.param == "qmp":
            host.greeted("oob")
        wait_until(machine, host, "thawed")
        yield host


def wait_until(machine: Machine, host: WireHost, wanted: str) -> None:
    machine.wait_for(f"the agent to be {wanted}", lambda: status(host) == wanted)


def status(host: WireHost) -> str:
    return str(host.ask("guest-fsfreeze-status").get("return"))


def agent_pid(machine: Machine) -> str:
    return machine.systemctl("show", "--value", "--property=MainPID", AGENT)


@contextmanager
def frozen(machine: Machine, host: WireHost) -> Iterator[None]:
    """Freeze all; whatever happens in the block, all are thawed after it, and can be written to."""
    assert host.ask("guest-fsfreeze-freeze")["return"] >= 1
    try:
        machine.run(f"setsid sh -c '{WRITER}' >/dev/null 2>&1 &")
        machine.wait_for("a writer that waits", lambda: state_of_writer(machine) == "D")
        yield
    finally:
        assert host.ask("guest-fsfreeze-thaw")["return"] >= 1
    machine.wait_for("the writer's end", lambda: machine.run("cat /run/written", check=False).stdout)


def state_of_writer(machine: Machine) -> str:
    return machine.run("ps -o state= -p $(cat /run/writer)", check=False).stdout.strip()


def test_only_a_few_commands_answer(machine: Machine, host: WireHost) -> None:
    with frozen(machine, host):
        assert status(host) == "frozen"
        for command in ALLOWED:
            assert "return" in host.ask(command)
        for command in ("guest-file-open", "guest-fsfreeze-freeze"):
            assert host.ask(command, path="/root/x", mode="w")["error"]["class"] == "CommandNotFound"
    assert status(host) == "thawed"
    assert "return" in host.ask("guest-get-osinfo")


def test_an_agent_that_is_killed_is_followed_by_one_that_thaws(machine: Machine, host: WireHost) -> None:
    with frozen(machine, host):
        before = agent_pid(machine)
        machine.run(["kill", "-KILL", before])
        machine.wait_for("the next agent", lambda: agent_pid(machine) not in {before, "0"})
        wait_until(machine, host, "frozen")


def test_an_agent_that_is_asked_to_stop_stays_for_the_thaw(machine: Machine, host: WireHost) -> None:
    before = agent_pid(machine)
    with frozen(machine, host):
        machine.run(["kill", "-TERM", before])
        assert status(host) == "frozen"
        assert agent_pid(machine) == before
    machine.wait_for("its end", lambda: agent_pid(machine) != before)
    machine.systemctl("start", AGENT)


def test_without_eventd_the_agent_thaws(machine: Machine) -> None:
    with machine.host("qga") as host:
        wait_until(machine, host, "thawed")
        assert host.ask("guest-fsfreeze-freeze")["return"] >= 1
        # systemd cannot start it again: what it does for the sandbox waits for the frozen root.
        machine.systemctl("kill", "--signal=KILL", EVENTD)
        machine.wait_for("the thaw", lambda: machine.run(["test", "-e", FROZEN], check=False).returncode)
        machine.wait_for("eventd", machine.eventd_runs)
        host.send(b"\xff")
        host.request("guest-sync-delimited", id=7)
        host.skip_until(b"\xff")
        assert host.message()["return"] == 7
        wait_until(machine, host, "thawed")
        assert host.ask("guest-fsfreeze-thaw")["return"] == 0
