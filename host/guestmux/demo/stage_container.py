"""A guest that really boots: Debian in systemd-nspawn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager

from guestmux.demo.stage_booted import BootedStage, announce_boot, rig


class ContainerStage(BootedStage):
    """A container."""

    @property
    def address(self) -> str:
        """How the host reaches eventd: through the container's root."""
        return f"unix:{self._guest.port('qmp')}"

    @property
    def setting(self) -> Sequence[str]:
        """What is real, and what is not."""
        return [
            f"a Debian guest booted by systemd-nspawn: {self._guest.container.name}",
            "systemd, logind, PAM and D-Bus are real; guestmux is installed as packaged",
            "only the desktops (notifications, screen locker) are stand-ins",
        ]

    def _wait_off(self) -> None:
        self._guest.container.wait_stopped()

    def _ways_in(self) -> Sequence[tuple[str, str]]:
        enter = f"nsenter --target {self._guest.container.leader} --all --root --wd"
        return [
            (f"{enter} loginctl", "the same, as logind in the guest sees it"),
            (f"{enter} loginctl lock-sessions", "lock from inside"),
            (f"{enter} journalctl -u guestmux-eventd", "what eventd says"),
        ]


@asynccontextmanager
async def container_stage() -> AsyncIterator[ContainerStage]:
    """Boot the guest, and take it away after the block.

    Raises:
        DemoError: this is no checkout, not root, or the container does not boot; the text says what to do.
    """
    with rig("container", "tests.guest.rig") as (module, logins, thread):
        stack = ExitStack()
        try:
            announce_boot()
            guest = await thread.run(lambda: stack.enter_context(module.booted_guest()))
            yield ContainerStage(guest, logins, stack, thread)
        finally:
            await thread.run(stack.close)
