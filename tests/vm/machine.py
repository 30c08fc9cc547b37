"""A booted virtual machine, seen from its host: what a test does with it."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.guest.terminal import Terminal
from tests.support.wire_host import WireHost
from tests.vm.control import Control
from tests.vm.emulated import WAIT_SECONDS, EmulatedGuest
from tests.vm.image import Image, vm_image
from tests.vm.qemu import SERIAL_LINES, Qemu, QemuError, running_qemu, with_kernel_options


class Machine(EmulatedGuest):
    """A virtual machine.

    Args:
        image: to boot.
        folder: for its disks and sockets; must have a short name.
        options: of QEMU's, at each start.

    Attributes:
        qemu: the process that it runs in now.
    """

    def __init__(self, image: Image, folder: Path, *options: str) -> None:
        self._image = image
        self._folder = folder
        self._options = options
        self._layers = 0
        self._generation = 0
        self._terminals: dict[str, Terminal] = {}
        self._disk = self._layer_over(image.disk, "raw")
        self._running = ExitStack()
        self.qemu = self._start(self._running)
        super().__init__(Control(self.qemu.socket("control")))

    def __repr__(self) -> str:
        return f"<Machine {self.qemu!r}>"

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

    # -- as a machine -------------------------------------------------------------------------------------------

    def host(self, dialect: str) -> WireHost:
        """Connect to the port of a dialect, "qmp" or "qga"."""
        return WireHost(self.qemu.socket(dialect), WAIT_SECONDS)

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

    def cut_power(self, *kernel_options: str) -> None:
        """Kill QEMU, and boot from the same disk. The sockets have their names again; hosts were thrown out.

        Args:
            kernel_options: of the next boot, beside the usual ones.
        """
        self._start_anew(*with_kernel_options(*kernel_options))
        self.wait_booted()

    def snapshot_disk(self) -> Path:
        """Take the disk as it is now, which a power cut would leave behind; gives it. Changes go to a layer above."""
        snapshot = self._disk
        self._disk = self._new_layer()
        arguments = {"device": "virtio0", "snapshot-file": str(self._disk), "format": "qcow2"}
        self.qemu.monitor.execute("blockdev-snapshot-sync", arguments)
        return snapshot

    def set_disk_back(self, snapshot: Path, *kernel_options: str) -> None:
        """Cut the power, and boot a copy of what the disk was; see `cut_power`."""
        self._running.close()
        self._disk = self._layer_over(snapshot, "qcow2")
        self.cut_power(*kernel_options)

    def save_memory(self) -> None:
        """Keep memory and disk as they are now, for who sets them back."""
        self._human("savevm kept")

    def set_memory_back(self) -> None:
        """Kill QEMU, and go on in another one from what `save_memory` kept. Hosts were thrown out."""
        self._start_anew("-loadvm", "kept")

    def load_memory(self) -> None:
        """Go on from what `save_memory` kept in the QEMU that runs. Hosts stay connected, and are told nothing."""
        self._human("loadvm kept")

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

    def _human(self, command: str) -> None:
        """Run a command that QEMU has for people alone; what it prints is an error."""
        said = self.qemu.monitor.execute("human-monitor-command", {"command-line": command})
        if said:
            raise QemuError(f"{command}: {said}")

    def _new_layer(self) -> Path:
        self._layers += 1
        return self._folder / f"disk{self._layers}.qcow2"

    def _layer_over(self, below: Path, kind: str) -> Path:
        """A disk that is another one, and whose changes stay its own."""
        disk = self._new_layer()
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(below), str(disk)]
        subprocess.run(command, check=True)
        return disk

    def _start_anew(self, *options: str) -> None:
        """Kill QEMU, and start it in its folder."""
        self._control.close()
        self._running.close()
        folder = self.qemu.folder
        for path in folder.iterdir():
            path.unlink()
        self.qemu = self._running.enter_context(self._qemu(folder, *options))
        self._control = Control(self.qemu.socket("control"))

    def _start(self, running: ExitStack, *options: str) -> Qemu:
        self._generation += 1
        folder = self._folder / str(self._generation)
        folder.mkdir()
        return running.enter_context(self._qemu(folder, *options))

    def _qemu(self, folder: Path, *options: str) -> AbstractContextManager[Qemu]:
        return running_qemu(folder, self._image, self._disk, *self._options, *options)


@contextmanager
def booted_machine(image: Image | None = None, *options: str) -> Iterator[Machine]:
    """Boot a machine that has this tree's guestmux installed; it is gone after the block.

    Args:
        image: to boot; `vm_image()` by default.
        options: of QEMU's, at each start.

    Raises:
        GuestError, ImageError, InstallError, QemuError: it could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="guestmux-vm-") as folder:
        machine = Machine(image or vm_image(), Path(folder), *options)
        try:
            machine.wait_booted()
            yield machine
        finally:
            machine.switch_off()
