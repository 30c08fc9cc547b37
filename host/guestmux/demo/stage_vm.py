"""A guest as guests are: Debian in a virtual machine, its port a real virtio-serial port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager

from guestmux.demo.stage_booted import BootedStage, announce_boot, rig

ERRORS = (("tests.vm.qemu", "QemuError"),)
"""What the rig of virtual machines raises beside the others."""


class VmStage(BootedStage):
    """A virtual machine, emulated: KVM is not asked for, so it is some ten times slower than others."""

    pace = 8.0
    one_clock = False

    @property
    def address(self) -> str:
        """How the host reaches eventd: the socket of QEMU's chardev."""
        return f"unix:{self._guest.qemu.socket('qmp')}"

    @property
    def setting(self) -> Sequence[str]:
        """What is real, and what is not."""
        return [
            f"a Debian virtual machine in QEMU: {self._guest.qemu!r}",
            "its port is a virtio-serial port, its host side a socket of QEMU's; all of it is emulated, and slow",
            "kernel, systemd, logind, PAM and D-Bus are real; guestmux is installed as packaged",
            "only the desktops (notifications, screen locker) are stand-ins",
        ]

    def _wait_off(self) -> None:
        self._guest.qemu.monitor.event("SHUTDOWN", guest=True)

    def _ways_in(self) -> Sequence[tuple[str, str]]:
        line = self._guest.qemu.socket("ttyS3")
        return [(f"socat -,rawer unix-connect:{line}", "a login; see USERS in tests/guest/image.py")]


@asynccontextmanager
async def vm_stage() -> AsyncIterator[VmStage]:
    """Boot the machine, and take it away after the block.

    Raises:
        DemoError: this is no checkout, not root, or the machine does not boot; the text says what to do.
    """
    with rig("vm", "tests.vm.machine", *ERRORS) as (module, logins, thread):
        stack = ExitStack()
        try:
            announce_boot()
            machine = await thread.run(lambda: stack.enter_context(module.booted_machine()))
            yield VmStage(machine, logins, stack, thread)
        finally:
            await thread.run(stack.close)
