"""Setting the time: what is set, and in which order. tests/vm has a machine whose clock is really set."""

import errno
import os
from pathlib import Path

import pytest

from guestmux_protocol.guest.clock import GuestSetTime
from guestmux_session.errors import CommandError
from guestmux_session.verbs.clock import END_OF_TIME, Clock
from guestmux_session.verbs.programs import Programs
from tests.support.stub_programs import StubPrograms


@pytest.fixture
def stubs(tmp_path: Path) -> StubPrograms:
    stubs = StubPrograms(tmp_path)
    stubs.add("hwclock")
    return stubs


@pytest.fixture
def times() -> list[int]:
    """What the system's clock was set to."""
    return []


@pytest.fixture
def clock(stubs: StubPrograms, times: list[int]) -> Clock:
    return Clock(Programs(str(stubs.path)), times.append)


@pytest.mark.parametrize("time", [0, 1_700_000_000_123_456_789, END_OF_TIME - 1])
def test_a_time_sets_both_clocks(clock: Clock, stubs: StubPrograms, times: list[int], time: int) -> None:
    clock.set_time(GuestSetTime(time=time))
    assert times == [time]
    assert stubs.calls() == ["hwclock --systohc"]


def test_without_a_time_the_hardware_has_it(clock: Clock, stubs: StubPrograms, times: list[int]) -> None:
    clock.set_time(GuestSetTime())
    assert (times, stubs.calls()) == ([], ["hwclock --hctosys"])


@pytest.mark.parametrize("time", [-1, END_OF_TIME, 2**63 - 1, -(2**63)])
def test_a_time_that_is_a_mistake_sets_nothing(
    clock: Clock, stubs: StubPrograms, times: list[int], time: int
) -> None:
    with pytest.raises(CommandError, match=r"^Invalid time$"):
        clock.set_time(GuestSetTime(time=time))
    assert (times, stubs.calls()) == ([], [])


def test_a_clock_that_may_not_be_set(stubs: StubPrograms) -> None:
    def refuse(_time: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with pytest.raises(CommandError, match=r"^Failed to set time to guest: Operation not permitted$"):
        Clock(Programs(str(stubs.path)), refuse).set_time(GuestSetTime(time=1))
    assert stubs.calls() == []


def test_without_hwclock_the_clock_is_left_alone(tmp_path: Path, times: list[int]) -> None:
    with pytest.raises(CommandError, match=r"^this feature or command is not currently supported"):
        Clock(Programs(str(tmp_path)), times.append).set_time(GuestSetTime(time=1))
    assert times == []


def test_why_the_hardware_clock_was_not_set_is_told(stubs: StubPrograms, times: list[int]) -> None:
    stubs.add("hwclock", "echo 'Cannot access the Hardware Clock'; exit 1")
    clock = Clock(Programs(str(stubs.path)), times.append)
    with pytest.raises(CommandError, match=r"failed to set hardware clock to system time: Cannot access the"):
        clock.set_time(GuestSetTime(time=1))
