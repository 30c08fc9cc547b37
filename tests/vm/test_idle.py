"""What eventd costs a guest in which nothing happens: no wake-up and no CPU, whatever the host does."""

from collections.abc import Iterator

import pytest

from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine
from tests.vm.test_hosts import fill

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SECONDS = 8

NO_WATCHDOG = f"/run/systemd/system/{EVENTD}.d/no-watchdog.conf"
"""systemd's watchdog wants a sign of life now and then, which is the one thing that eventd does by itself."""


@pytest.fixture
def quiet_machine(machine: Machine) -> Iterator[Machine]:
    """The machine, with an eventd that has to give no sign of life."""
    machine.run(f"install -D /dev/null {NO_WATCHDOG}; printf '[Service]\nWatchdogSec=0\n' >{NO_WATCHDOG}")
    restart(machine)
    yield machine
    machine.run(["rm", NO_WATCHDOG])
    restart(machine)


def restart(machine: Machine) -> None:
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", EVENTD)


def cost(machine: Machine) -> tuple[int, int]:
    """How often eventd went to sleep in SECONDS, and the clock ticks of CPU it took."""
    pid = machine.eventd_pid()
    look = f"cat /proc/{pid}/task/*/status | grep ctxt_switches; cut -d ' ' -f 14,15 /proc/{pid}/stat"
    # Some moments first, for what was begun before to come to its end.
    printed = machine.run(f"sleep 2; {look}; echo then; sleep {SECONDS}; {look}", timeout=60).stdout
    before, after = printed.split("then\n")
    return wakeups(after) - wakeups(before), ticks(after) - ticks(before)


def wakeups(text: str) -> int:
    return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt" in line)


def ticks(text: str) -> int:
    return sum(map(int, text.splitlines()[-1].split()))


def test_nothing_costs_nothing(quiet_machine: Machine) -> None:
    costs = {"no host": cost(quiet_machine)}
    with quiet_machine.host("qmp") as host, quiet_machine.host("qga") as other:
        host.greeted("oob")
        assert "return" in host.ask("guest-event-subscribe", events=["*"])
        assert other.ask("guest-ping")["return"] == {}
        costs["an idle host"] = cost(quiet_machine)
        fill(other)
        costs["a host that does not read"] = cost(quiet_machine)
    costs["after a host that left its replies unread"] = cost(quiet_machine)
    assert costs == dict.fromkeys(costs, (0, 0))


def test_the_watchdog_costs_little(machine: Machine) -> None:
    wakeups, ticks = cost(machine)
    # Not one a second, and some hundredths of a second in all, on a busy machine as well.
    assert wakeups < SECONDS
    assert ticks < 20
