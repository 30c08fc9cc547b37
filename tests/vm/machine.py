"""A booted virtual machine, seen from its host: what a test does with it."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.guest.container import ENTER_CGROUP, PATH, with_identity
from tests.guest.image import USERS
from tests.guest.system import GuestError, GuestSystem
from tests.guest.terminal import Terminal
from tests.support.wire_host import WireHost
from tests.vm.control import Control
from tests.vm.image import Image, vm_image
from tests.vm.qemu import SERIAL_LINES, Qemu, running_qemu

WAIT_SECONDS = 40.0
"""An emulated machine needs some seconds for what a real one does in a tenth of one."""

BOOT_SECONDS = 120.0
"""A boot takes 15 s on an idle machine."""

FIRST_VT = 8
"""Virtual terminals from here on get no getty of logind's own."""

MANAGER = ("org.guestmux.Manager1", "/org/guestmux/Manager1", "org.guestmux.Manager1")

EVENTD = "guestmux-eventd.service"


class Machine(GuestSystem):
    """A virtual machine.

    Attributes:
        qemu: the process that it runs in now.
    """

    wait_seconds = WAIT_SECONDS

    def __init__(self, image: Image, folder: Path) -> None:
        self._image = image
        self._folder = folder
        self._disk = folder / "disk.qcow2"
        self._generation = 0
        self._terminals: dict[str, Terminal] = {}
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b"]
        subprocess.run([*command, str(image.disk), str(self._disk)], check=True)
        self._running = ExitStack()
        self.qemu = self._start(self._running)
        self._control = Control(self.qemu.socket("control"))

    def __repr__(self) -> str:
        return f"<Machine {self.qemu!r}>"

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
        return self._control.execute([*enter, *words], {"PATH": PATH}, timeout)

    def open_terminal(self) -> Terminal:
        """A serial line."""
        line = next(
            name for name in SERIAL_LINES if name not in self._terminals or self._terminals[name].closed
        )
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.qemu.socket(line)))
        getty = f"serial-getty@{line}.service"
        terminal = Terminal(connection.detach(), line, getty, self.wait_seconds, self.journal)
        self._terminals[line] = terminal
        return terminal

    def seat_variables(self, user: str) -> dict[str, str]:
        """A virtual terminal for each user."""
        return {"XDG_VTNR": str(FIRST_VT + list(USERS).index(user))}

    # -- as a machine -------------------------------------------------------------------------------------------

    def host(self, dialect: str) -> WireHost:
        """Connect to the port of a dialect, "qmp" or "qga"."""
        return WireHost(self.qemu.socket(dialect))

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

    def reboot(self) -> None:
        """Reboot, and wait until all is up again. Hosts stay connected to QEMU."""
        self.qemu.monitor.forget_events()
        self.run(["systemctl", "--no-block", "reboot"])
        self.qemu.monitor.event("RESET", guest=True)
        self.wait_booted()

    def suspend(self) -> None:
        """Have the machine sleep (S3), and wait until it does."""
        self.qemu.monitor.forget_events()
        self.run(["systemctl", "--no-block", "suspend"])
        self.qemu.monitor.event("SUSPEND")

    def wake_up(self) -> None:
        """Press the power button of a machine that sleeps."""
        self.qemu.monitor.execute("system_wakeup")
        self.qemu.monitor.event("WAKEUP")

    def migrate(self) -> None:
        """Move on to another QEMU process. Its sockets are others, and nobody is connected to them."""
        with self.migrating():
            pass

    @contextmanager
    def migrating(self) -> Iterator[Qemu]:
        """Move on to another QEMU process, which is given to the block before, and has the machine after it."""
        running = ExitStack()
        channel = f"unix:{self._folder / 'migration'}"
        there = self._start(running, "-incoming", channel)
        try:
            yield there
            self._move(there, channel)
        except BaseException:
            running.close()
            raise
        self._running.close()
        self._running, self.qemu = running, there
        self._control = Control(there.socket("control"))

    def _move(self, there: Qemu, channel: str) -> None:
        self._control.close()
        capability = {"capability": "events", "state": True}
        self.qemu.monitor.execute("migrate-set-capabilities", {"capabilities": [capability]})
        self.qemu.monitor.execute("migrate", {"uri": channel})
        self.qemu.monitor.event("MIGRATION", status="completed")
        there.monitor.event("RESUME")

    def switch_off(self) -> None:
        """Take the power away."""
        self._control.close()
        self._running.close()

    def _start(self, running: ExitStack, *options: str) -> Qemu:
        self._generation += 1
        folder = self._folder / str(self._generation)
        folder.mkdir()
        return running.enter_context(running_qemu(folder, self._image, self._disk, *options))


@contextmanager
def booted_machine() -> Iterator[Machine]:
    """Boot a machine that has this tree's guestmux installed; it is gone after the block.

    Raises:
        GuestError, ImageError, InstallError, QemuError: it could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="guestmux-vm-") as folder:
        machine = Machine(vm_image(), Path(folder))
        try:
            machine.wait_booted()
            yield machine
        finally:
            machine.switch_off()
