"""guest-shutdown and guest-suspend-*, by the programs that the guest's init system has for them."""

from __future__ import annotations

from pathlib import Path

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.power import (
    GuestShutdown,
    GuestSuspendDisk,
    GuestSuspendHybrid,
    GuestSuspendRam,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.programs import Programs

POWER_STATE = Path("/sys/power/state")
"""The kernel's own: says what it can sleep to, and sleeps when that is written into it."""

MESSAGE = "hypervisor initiated shutdown"
"""What logged-in users read; qemu-ga's."""

# -P and -H are refused by sysvinit's shutdown without -h.
_SHUTDOWN = {"powerdown": ["-h", "-P"], "halt": ["-h", "-H"], "reboot": ["-r"]}
_WITHOUT_SHUTDOWN = {"powerdown": "poweroff", "halt": "halt", "reboot": "reboot"}

# By the name that /sys/power/state has for it: systemd's verb, systemd's service, pm-utils' option and program.
_SLEEPS = {
    "disk": ("hibernate", "systemd-hibernate", "--hibernate", "pm-hibernate"),
    "mem": ("suspend", "systemd-suspend", "--suspend", "pm-suspend"),
    "hybrid": ("hybrid-sleep", "systemd-hybrid-sleep", "--suspend-hybrid", "pm-suspend-hybrid"),
}

_UNKNOWN_SERVICE = 4
"""systemctl status exits with this, by LSB, where there is no such service."""


class Power:
    """Switches the machine off and puts it to sleep.

    Args:
        programs: finds and runs shutdown, systemctl, pm-suspend and the like.
        power_state: the kernel's file.
    """

    def __init__(self, programs: Programs | None = None, power_state: Path = POWER_STATE) -> None:
        self._programs = programs or Programs()
        self._power_state = power_state

    @command_of(GUEST["guest-shutdown"])
    def shutdown(self, arguments: GuestShutdown) -> None:
        """Run shutdown, which is systemd's mostly and asks logind, so that whoever delays a shutdown may."""
        mode = "powerdown" if arguments.mode is UNSET else arguments.mode
        if mode not in _SHUTDOWN:
            raise CommandError("mode is invalid (valid values are: halt|powerdown|reboot)")
        if self._programs.find("shutdown"):
            self._programs.run(["shutdown", *_SHUTDOWN[mode], "+0", MESSAGE], "shutdown")
        else:
            self._programs.run([_WITHOUT_SHUTDOWN[mode]], "shutdown")

    @command_of(GUEST["guest-suspend-disk"])
    def suspend_disk(self, _arguments: GuestSuspendDisk) -> None:
        """Hibernate."""
        self._suspend("disk")

    @command_of(GUEST["guest-suspend-ram"])
    def suspend_ram(self, _arguments: GuestSuspendRam) -> None:
        """Suspend."""
        self._suspend("mem")

    @command_of(GUEST["guest-suspend-hybrid"])
    def suspend_hybrid(self, _arguments: GuestSuspendHybrid) -> None:
        """Both."""
        self._suspend("hybrid")

    def _suspend(self, sleep: str) -> None:
        """Try systemd, pm-utils and the kernel, in this order, where they know of it; the last one's error counts."""
        failure = CommandError("the requested suspend mode is not supported by the guest")
        for suspends in (self._by_systemd, self._by_pm_utils, self._by_kernel):
            try:
                if suspends(sleep):
                    return
            except CommandError as error:
                failure = error
        raise failure

    def _by_systemd(self, sleep: str) -> bool:
        verb, service, _, _ = _SLEEPS[sleep]
        status = self._programs.status(["systemctl", "status", service])
        if status is None or not 0 <= status < _UNKNOWN_SERVICE:
            return False
        self._programs.run(["systemctl", verb], "suspend")
        return True

    def _by_pm_utils(self, sleep: str) -> bool:
        _, _, option, program = _SLEEPS[sleep]
        if self._programs.status(["pm-is-supported", option]) != 0:
            return False
        self._programs.run([program], "suspend")
        return True

    def _by_kernel(self, sleep: str) -> bool:
        try:
            if sleep not in self._power_state.read_text().split():
                return False
            self._power_state.write_text(sleep)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise CommandError(f"suspend: cannot write to '{self._power_state}': {error.strerror}") from error
        return True
