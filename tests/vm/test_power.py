"""A real machine goes to sleep and down when its host asks the agent, and has the time that the host gives it."""

import time
from typing import Any

import pytest

from tests.support.wire_host import WireHost
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SOME_TIME = 1_900_000_000
"""Seconds since 1970: in 2030, where no guest is by itself."""


def wait_for_agent(machine: Machine, host: WireHost) -> None:
    machine.wait_for("the system agent", lambda: "return" in host.ask("guest-fsfreeze-status"))


def test_suspend_and_wake(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted("oob")
        wait_for_agent(machine, host)
        machine.qemu.monitor.forget_events()
        host.request("guest-suspend-ram", key="exec-oob", request_id="asleep")
        machine.qemu.monitor.event("SUSPEND")
        machine.wake_up()
        # Nothing came for the success, so that this is the next reply.
        assert host.ask("guest-ping")["return"] == {}


def test_the_clock(machine: Machine) -> None:
    with machine.host("qga") as host:
        wait_for_agent(machine, host)
        assert host.ask("guest-set-time", time=SOME_TIME * 10**9)["return"] == {}
        assert SOME_TIME <= seconds(machine) < SOME_TIME + 3600
        machine.run(["date", "--set=2026-11-23"])
        assert host.ask("guest-set-time")["return"] == {}
        assert SOME_TIME <= seconds(machine) < SOME_TIME + 3600
        assert host.ask("guest-set-time", time=time.time_ns())["return"] == {}


def test_a_clock_that_is_set_is_told(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted()
        before = seconds(machine)
        host.ask("guest-event-subscribe", events=["TIME_CHANGED"])
        machine.run(["date", f"--set=@{SOME_TIME}"])
        assert host.event("TIME_CHANGED")["offset"] == pytest.approx(SOME_TIME - before, abs=60)
        machine.run(["date", f"--set=@{before}"])
        assert host.event("TIME_CHANGED")["offset"] == pytest.approx(before - SOME_TIME, abs=60)


def seconds(machine: Machine) -> int:
    return int(machine.run("date +%s").stdout)


def test_reboot_and_power_off(machines: Any) -> None:
    machine: Machine = machines.get()
    with machine.host("qga") as host:
        wait_for_agent(machine, host)
        machine.qemu.monitor.forget_events()
        host.request("guest-shutdown", mode="reboot")
        machine.qemu.monitor.event("RESET", guest=True)
        machine.wait_booted()
    # The next one begins without a guest-sync: seen before this one has left, it would be taken for it.
    machine.wait_for("the host's leaving", lambda: not machine.has_host())
    with machine.host("qga") as host:
        wait_for_agent(machine, host)
        host.request("guest-shutdown")
        machine.qemu.monitor.event("SHUTDOWN", guest=True)
    machines.discard()
