"""Beside a stock qemu-ga that has its port: eventd says so, serves its own, and takes that one when it is free."""

import json
from collections.abc import Iterator

import pytest

from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

STOCK = "qemu-guest-agent.service"

HAND_OVER = "udevadm trigger --settle --action=change --subsystem-match=virtio-ports"
"""What docs/install.md says to do when the stock agent comes or goes; the packages do it themselves."""


@pytest.fixture
def stock(machine: Machine) -> Iterator[Machine]:
    """The machine with a stock agent that has its port; eventd is stopped."""
    machine.systemctl("stop", EVENTD)
    machine.systemctl("unmask", STOCK)
    machine.systemctl("start", STOCK)
    assert_stock_answers(machine)
    yield machine
    machine.systemctl("mask", "--now", STOCK)
    machine.run(HAND_OVER)
    machine.systemctl("restart", EVENTD)


def assert_stock_answers(machine: Machine) -> None:
    with machine.host("qga") as host:
        assert host.ask("guest-sync", id=1)["return"] == 1
        assert "error" in host.ask("guest-get-sessions")


def assert_eventd_answers(machine: Machine, dialect: str) -> None:
    with machine.host(dialect) as host:
        if dialect == "qmp":
            host.greeted()
        assert "return" in host.ask("guest-get-sessions")


def main_pid(machine: Machine) -> str:
    return machine.systemctl("show", "--value", "--property=MainPID", STOCK)


def doctor_on_stock_port(machine: Machine) -> dict[str, str]:
    printed = machine.run(["guestmux-eventd", "--doctor", "--json"]).stdout
    rows: list[dict[str, str]] = json.loads(printed)["findings"]
    return next(row for row in rows if row["check"] == "port virtio:org.qemu.guest_agent.0")


def test_a_port_that_the_stock_agent_holds(stock: Machine) -> None:
    """udev gave the port to eventd while the stock agent was masked, so it may open it, and finds it open."""
    before = main_pid(stock)
    for _ in range(2):
        stock.systemctl("restart", EVENTD)
        assert "another process holds the port; is qemu-ga running?" in stock.said_since_start()
        assert_eventd_answers(stock, "qmp")
        assert_stock_answers(stock)
    assert main_pid(stock) == before
    found = doctor_on_stock_port(stock)
    assert found["level"] == "note"
    assert found["what"].startswith("held by qemu-ga")
    stock.systemctl("stop", STOCK)
    assert_eventd_answers(stock, "qga")


def test_a_port_that_is_left_to_the_stock_agent(stock: Machine) -> None:
    """With the stock agent unmasked udev leaves it the port: it may restart, and eventd does not come between."""
    stock.run(HAND_OVER)
    stock.systemctl("start", EVENTD)
    assert "leaves org.qemu.guest_agent.0 to a stock qemu-ga" in stock.said_since_start()
    for _ in range(3):
        stock.systemctl("restart", STOCK)
        assert_stock_answers(stock)
    assert_eventd_answers(stock, "qmp")
    assert doctor_on_stock_port(stock)["level"] == "note"
    stock.systemctl("mask", "--now", STOCK)
    stock.run(HAND_OVER)
    assert_eventd_answers(stock, "qga")


def test_a_stock_agent_that_comes_later_leaves_eventd_its_ports(machine: Machine) -> None:
    pid = machine.eventd_pid()
    machine.systemctl("unmask", STOCK)
    try:
        machine.systemctl("start", STOCK)
        machine.wait_for("its giving up", lambda: "failed to initialize" in machine.journal("--unit", STOCK))
        assert_eventd_answers(machine, "qga")
    finally:
        machine.systemctl("mask", "--now", STOCK)
        machine.systemctl("reset-failed", STOCK, check=False)
    assert machine.eventd_pid() == pid
