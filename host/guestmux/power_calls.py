"""Switch the guest off, or put it to sleep."""

from __future__ import annotations

from typing import Literal

from guestmux.leaving import Leaver, Leaving

GONE_TIMEOUT = 120.0
"""Seconds until a guest is gone: systemd gives a service 90 to stop."""

ShutdownMode = Literal["powerdown", "halt", "reboot"]
SuspendMode = Literal["ram", "disk", "hybrid"]


class PowerCalls(Leaver):
    """Ends a guest. A success has no reply, so going away is taken for one."""

    async def shutdown(
        self, mode: ShutdownMode = "powerdown", *, until_gone: bool = True, timeout: float = GONE_TIMEOUT
    ) -> None:
        """Shut the guest down in an orderly way.

        Args:
            mode: `powerdown`, `halt` (the power stays on) or `reboot`.
            until_gone: wait until it is gone: the connection ended, the guest's side began anew, or nobody answers.
                Otherwise return when it has taken the command.
            timeout: seconds.

        Raises:
            CallTimeout: it still answers after that time.
        """
        leaving = Leaving(self, "guest-shutdown", {"mode": mode}, "POWER_SHUTDOWN", is_last=False)
        await leaving.run(timeout, until_gone=until_gone)

    async def reboot(self, *, until_gone: bool = True, timeout: float = GONE_TIMEOUT) -> None:
        """Reboot the guest; as `shutdown`."""
        await self.shutdown("reboot", until_gone=until_gone, timeout=timeout)

    async def suspend(
        self, mode: SuspendMode = "ram", *, until_gone: bool = True, timeout: float = GONE_TIMEOUT
    ) -> None:
        """Put the guest to sleep. QEMU's `system_wakeup` wakes it.

        Args:
            mode: `ram`, `disk` (its memory is written, and the power goes off) or `hybrid` (both).
            until_gone: wait until it says that it goes to sleep, or nobody answers.
            timeout: seconds.

        Raises:
            CallTimeout: it still answers after that time.
        """
        leaving = Leaving(self, f"guest-suspend-{mode}", {}, "POWER_SLEEP", is_last=True)
        await leaving.run(timeout, until_gone=until_gone)
