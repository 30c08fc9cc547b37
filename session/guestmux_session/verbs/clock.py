"""guest-set-time: the system's time and the hardware clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.clock import GuestSetTime
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.programs import Programs

END_OF_TIME = 3_155_760_000 * 10**9
"""2070-01-01 UTC in nanoseconds: from there on qemu-ga takes a time for a mistake, as it does one before 1970."""


def _set_system_time(nanoseconds: int) -> None:
    time.clock_settime_ns(time.CLOCK_REALTIME, nanoseconds)


class Clock:
    """Sets the time.

    Args:
        programs: finds and runs hwclock.
        set_system_time: sets the system's clock, in nanoseconds since 1970; raises OSError.
    """

    def __init__(
        self, programs: Programs | None = None, set_system_time: Callable[[int], None] = _set_system_time
    ) -> None:
        self._programs = programs or Programs()
        self._set_system_time = set_system_time

    @command_of(GUEST["guest-set-time"])
    def set_time(self, arguments: GuestSetTime) -> None:
        """Set the system's time and then the hardware's, or with no argument the system's from the hardware's."""
        if self._programs.find("hwclock") is None:
            # Before the clock is touched, as qemu-ga does: a guest is not left with two times.
            raise CommandError("this feature or command is not currently supported: hwclock was not found")
        if arguments.time is UNSET:
            return self._programs.run(["hwclock", "--hctosys"], "set system time from hardware clock")
        if not 0 <= arguments.time < END_OF_TIME:
            raise CommandError("Invalid time")
        try:
            self._set_system_time(arguments.time)
        except OSError as error:
            raise CommandError(f"Failed to set time to guest: {error.strerror}") from error
        return self._programs.run(["hwclock", "--systohc"], "set hardware clock to system time")
