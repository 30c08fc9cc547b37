"""What a test does with a guest that QEMU runs and the control service serves, whoever started that QEMU."""

import subprocess
from collections.abc import Mapping, Sequence

from tests.guest.container import ENTER_CGROUP, PATH, with_identity
from tests.guest.image import USERS
from tests.guest.system import GuestError, GuestSystem
from tests.guest.terminal import Terminal
from tests.vm.control import Control

SLOWER = 5
"""How much longer than in a container a command may take; on an idle machine it is half of that."""

WAIT_SECONDS = 200.0
"""An emulated machine needs some seconds for a tenth of one on a real one, and ten times that where others work."""

BOOT_SECONDS = 120.0
"""A boot takes 15 s on an idle machine; as any command it has SLOWER times this on a busy one."""

FIRST_VT = 8
"""Virtual terminals from here on get no getty of logind's own."""

MANAGER = ("org.guestmux.Manager1", "/org/guestmux/Manager1", "org.guestmux.Manager1")

EVENTD = "guestmux-eventd.service"


class EmulatedGuest(GuestSystem):
    """A guest from tests.vm.image.

    Args:
        control: the connection to its control service.
    """

    wait_seconds = WAIT_SECONDS

    def __init__(self, control: Control) -> None:
        self._control = control

    # -- as any guest -------------------------------------------------------------------------------------------

    def execute(
        self,
        command: Sequence[str],
        *,
        user: str | None,
        cgroup: str,
        environment: Mapping[str, str] | None,
        timeout: float,
    ) -> "subprocess.CompletedProcess[str]":
        """Run words to their end; see `GuestSystem.execute`."""
        words = with_identity(command, user, environment)
        enter = ["sh", "-c", ENTER_CGROUP, "sh", f"/sys/fs/cgroup/{cgroup}"]
        return self._control.execute([*enter, *words], {"PATH": PATH}, timeout * SLOWER)

    def open_terminal(self) -> Terminal:
        """No terminal, unless there are serial lines.

        Raises:
            GuestError: always here.
        """
        raise GuestError(f"{self!r} has no serial line")

    def seat_variables(self, user: str) -> dict[str, str]:
        """A virtual terminal for each user."""
        return {"XDG_VTNR": str(FIRST_VT + list(USERS).index(user))}

    # -- as a machine with eventd -------------------------------------------------------------------------------

    def wait_booted(self) -> None:
        """Wait until all services are started, eventd among them.

        Raises:
            GuestError: one failed.
        """
        state = self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=BOOT_SECONDS)
        if state.stdout.strip() != "running" or not self.eventd_runs():
            raise GuestError(f"{state.stdout}{self.systemctl('--failed')}{self.journal('--unit', EVENTD)}")

    def eventd_runs(self) -> bool:
        """Whether eventd is up and has told systemd so."""
        return self.systemctl("is-active", EVENTD, check=False) == "active"

    def eventd_pid(self) -> int:
        """The process of eventd; 0 when it does not run."""
        return int(self.systemctl("show", "--value", "--property=MainPID", EVENTD))

    def eventd_memory(self) -> int:
        """Resident bytes of eventd."""
        status = self.run(["grep", "VmRSS", f"/proc/{self.eventd_pid()}/status"]).stdout
        return int(status.split()[1]) * 1024

    def said_since_start(self) -> str:
        """What eventd logged since it was started last."""
        invocation = self.systemctl("show", "--value", "--property=InvocationID", EVENTD)
        return self.run(["journalctl", "--output=cat", f"_SYSTEMD_INVOCATION_ID={invocation}"]).stdout

    def has_host(self) -> bool:
        """Whether eventd knows of a host on any port."""
        answer = self.busctl("get-property", *MANAGER, "HostConnected")
        return bool(answer["data"])
