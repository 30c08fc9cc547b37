"""eventd as systemd's service with real ports: it is killed, its ports go and come."""

import pytest

from guestmux import blocking
from guestmux.event import Disconnected, Reconnected
from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


def test_killed_and_started_again_under_a_connected_host(machine: Machine, guest: blocking.Guest) -> None:
    with guest.events(timeout=100) as stream:
        epoch = stream.position.epoch if stream.position else ""
        machine.systemctl("kill", "--signal=KILL", EVENTD)
        gone, back = next(stream), next(stream)
        assert isinstance(gone, Disconnected)
        assert isinstance(back, Reconnected)
        assert back.resumed
        assert back.epoch != epoch
        guest.ping()
    machine.wait_for("eventd", machine.eventd_runs)


def test_killed_in_the_middle_of_a_call(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted("oob")
        host.request("session-get-info", key="exec-oob", session="user:carol", wait=60)
        assert host.ask("guest-ping", key="exec-oob")["return"] == {}
        machine.systemctl("kill", "--signal=KILL", EVENTD)
        host.greeted()
        host.request("guest-ping", request_id="mine")
        assert host.message() == {"return": {}, "id": "mine"}
    machine.wait_for("eventd", machine.eventd_runs)


def test_a_port_unplugged_and_plugged_in_again(machine: Machine) -> None:
    pid = machine.eventd_pid()
    with machine.host("qmp") as host, machine.host("qga") as other:
        host.greeted()
        machine.qemu.unplug("qmp")
        machine.wait_for("a word on it", lambda: "it was unplugged" in machine.said_since_start())
        assert other.ask("guest-ping")["return"] == {}
        machine.qemu.plug("qmp")
        # QEMU kept the connection; what is behind it is new.
        host.greeted()
        assert host.ask("guest-ping")["return"] == {}
    assert machine.eventd_pid() == pid


def test_a_port_that_appears_starts_eventd(machine: Machine) -> None:
    machine.systemctl("stop", EVENTD)
    machine.qemu.unplug("qmp")
    with machine.host("qmp") as host:
        machine.qemu.plug("qmp")
        host.greeted()
    machine.wait_for("eventd", machine.eventd_runs)


def test_a_port_whose_device_number_systemd_did_not_know_as_eventd_started(machine: Machine) -> None:
    """Each controller has a number of its own, and the first one none before its driver is loaded."""
    pid = machine.eventd_pid()
    monitor = machine.qemu.monitor
    machine.qemu.unplug("qmp")
    monitor.execute("device_add", {"driver": "virtio-serial-pci", "id": "late"})
    machine.qemu.plug("qmp", "late")
    with machine.host("qmp") as host:
        host.greeted()
    monitor.forget_events()
    monitor.execute("device_del", {"id": "late"})
    monitor.event("DEVICE_DELETED", device="late")
    machine.qemu.plug("qmp")
    with machine.host("qmp") as host:
        host.greeted()
    assert machine.eventd_pid() == pid


KERNEL_LOG = "guestmux-kernel-log.socket"

# As root may write it; the kernel would say it with a facility that nobody else has.
FORGED = "echo 'random: crng reseeded due to virtual machine fork' >/dev/kmsg"


def test_the_kernels_log_is_read_and_nobody_else_believed_there(machine: Machine) -> None:
    pid = machine.eventd_pid()
    assert machine.systemctl("is-active", KERNEL_LOG) == "active"
    assert "/dev/kmsg" in machine.run(f"readlink /proc/{pid}/fd/*").stdout.split()
    with machine.host("qmp") as host:
        host.greeted()
        before = host.ask("guest-info")["return"]["events"]["epoch"]
        machine.run(FORGED)
        machine.run(["sync"])
        assert host.ask("guest-info")["return"]["events"]["epoch"] == before
    assert "new generation id" not in machine.said_since_start()


def test_a_line_in_the_kernels_log_does_not_start_an_eventd_that_was_stopped(machine: Machine) -> None:
    machine.systemctl("stop", EVENTD)
    machine.run("echo something >/dev/kmsg; sleep 1")
    assert machine.systemctl("is-active", EVENTD, check=False) == "inactive"
    machine.systemctl("start", EVENTD)
    machine.wait_for("eventd", machine.eventd_runs)
