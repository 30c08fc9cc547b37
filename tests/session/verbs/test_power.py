"""Shutdown and suspend: which program is asked, in which order, and what of its failure is told.

Only the programs are stubs; tests/vm has a machine that really goes down.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from guestmux_protocol.guest.power import (
    GuestShutdown,
    GuestSuspendDisk,
    GuestSuspendHybrid,
    GuestSuspendRam,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs.power import Power
from guestmux_session.verbs.programs import Programs
from tests.support.stub_programs import StubPrograms

SUSPENDS: dict[str, Callable[[Power], None]] = {
    "hibernate": lambda power: power.suspend_disk(GuestSuspendDisk()),
    "suspend": lambda power: power.suspend_ram(GuestSuspendRam()),
    "hybrid-sleep": lambda power: power.suspend_hybrid(GuestSuspendHybrid()),
}


@pytest.fixture
def stubs(tmp_path: Path) -> StubPrograms:
    return StubPrograms(tmp_path)


@pytest.fixture
def power(stubs: StubPrograms, tmp_path: Path) -> Power:
    return Power(Programs(str(stubs.path)), tmp_path / "state")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (GuestShutdown(), "-h -P"),
        (GuestShutdown(mode="powerdown"), "-h -P"),
        (GuestShutdown(mode="halt"), "-h -H"),
        (GuestShutdown(mode="reboot"), "-r"),
    ],
)
def test_shutdown_is_asked(power: Power, stubs: StubPrograms, arguments: GuestShutdown, options: str) -> None:
    stubs.add("shutdown")
    power.shutdown(arguments)
    assert stubs.calls() == [f"shutdown {options} +0 hypervisor initiated shutdown"]


def test_an_unknown_mode_switches_nothing_off(power: Power, stubs: StubPrograms) -> None:
    stubs.add("shutdown")
    with pytest.raises(
        CommandError, match=r"^mode is invalid \(valid values are: halt\|powerdown\|reboot\)$"
    ):
        power.shutdown(GuestShutdown(mode="off"))
    assert stubs.calls() == []


@pytest.mark.parametrize(
    ("mode", "program"), [("powerdown", "poweroff"), ("halt", "halt"), ("reboot", "reboot")]
)
def test_without_a_shutdown_program_there_is_another(
    power: Power, stubs: StubPrograms, mode: str, program: str
) -> None:
    stubs.add(program)
    power.shutdown(GuestShutdown(mode=mode))
    assert stubs.calls() == [f"{program} "]


def test_why_shutdown_failed_is_told(power: Power, stubs: StubPrograms) -> None:
    stubs.add("shutdown", "echo 'Access denied' >&2; exit 1")
    with pytest.raises(CommandError, match=r"^child process has failed to shutdown: Access denied$"):
        power.shutdown(GuestShutdown())


@pytest.mark.parametrize("verb", SUSPENDS)
def test_systemd_suspends(power: Power, stubs: StubPrograms, verb: str) -> None:
    stubs.add("systemctl", '[ "$1" != status ] || exit 3')
    SUSPENDS[verb](power)
    assert stubs.calls() == [f"systemctl status systemd-{verb}", f"systemctl {verb}"]


def test_pm_utils_suspend_where_systemd_fails(power: Power, stubs: StubPrograms) -> None:
    stubs.add("systemctl", '[ "$1" != status ] || exit 3; exit 1')
    stubs.add("pm-is-supported")
    stubs.add("pm-suspend")
    SUSPENDS["suspend"](power)
    assert stubs.calls()[1:] == ["systemctl suspend", "pm-is-supported --suspend", "pm-suspend "]


def test_the_kernel_suspends_where_nothing_else_can(
    power: Power, stubs: StubPrograms, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.write_text("freeze mem disk\n")
    stubs.add("systemctl", "exit 4")
    SUSPENDS["suspend"](power)
    assert state.read_text() == "mem"
    state.write_text("freeze mem disk\n")
    SUSPENDS["hibernate"](power)
    assert state.read_text() == "disk"
    with pytest.raises(CommandError, match=r"^the requested suspend mode is not supported by the guest$"):
        SUSPENDS["hybrid-sleep"](power)


@pytest.mark.parametrize("verb", SUSPENDS)
def test_a_machine_that_cannot_suspend_says_so(power: Power, verb: str) -> None:
    with pytest.raises(CommandError, match=r"^the requested suspend mode is not supported by the guest$"):
        SUSPENDS[verb](power)


def test_the_last_way_that_should_have_worked_says_why_it_did_not(power: Power, stubs: StubPrograms) -> None:
    stubs.add("systemctl", '[ "$1" != status ] || exit 3; echo no swap >&2; exit 1')
    with pytest.raises(CommandError, match=r"^child process has failed to suspend: no swap$"):
        SUSPENDS["hibernate"](power)


def test_a_kernel_that_refuses_says_why(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(CommandError, match=r"^suspend: cannot write to '.*/state': Is a directory$"):
        Power(Programs(str(tmp_path)), tmp_path / "state").suspend_ram(GuestSuspendRam())
