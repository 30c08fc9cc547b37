"""One QEMU process: its devices, its sockets on this machine, its end."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from qemu.qmp import ExecuteError

from tests.vm.image import CONTROL_PORT, Image
from tests.vm.monitor import Monitor, connected

PROGRAM = "qemu-system-x86_64"

PORTS = {"qmp": "org.guestmux.0", "qga": "org.qemu.guest_agent.0", "control": CONTROL_PORT}
"""The virtio ports of the machine; each is a socket on this one, by the key."""

CONTROLLER = "ports"
"""What the ports are plugged into."""

SERIAL_LINES = ("ttyS1", "ttyS2", "ttyS3")
"""Where people log in; ttyS0 is the console."""

MEMORY = "640M"
"""Debian's minimum and eventd's largest, and little to migrate."""

START_SECONDS = 60.0
"""Time that QEMU has to open its monitor."""

STOP_SECONDS = 30.0
"""A killed process is gone at once, unless the kernel hangs."""

POLL_SECONDS = 0.02

KERNEL_OPTIONS = "root=/dev/vda rw console=ttyS0 quiet mitigations=off"


class QemuError(Exception):
    """QEMU did what it should not; the text has its own last words."""


class Qemu:
    """A running QEMU.

    Attributes:
        folder: of its sockets.
        monitor: its QMP monitor.
    """

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", monitor: Monitor) -> None:
        self.folder = folder
        self.monitor = monitor
        self._process = process

    def __repr__(self) -> str:
        return f"<Qemu {self.folder.name} pid={self._process.pid}>"

    def socket(self, name: str) -> Path:
        """The socket of a port (a key of PORTS) or of a serial line."""
        return self.folder / name

    def last_words(self) -> str:
        """The end of its console, and what QEMU itself said."""
        words = [self.folder / name for name in ("console", "log")]
        return "".join(f"\n--- {path}:\n{path.read_text(errors='replace')[-2000:]}" for path in words)

    def kill(self) -> None:
        """Cut the power; what it wrote to its sockets and files is there to read."""
        _end(self._process)

    def wait_host(self, port: str) -> None:
        """Wait until somebody is connected to a port's socket.

        Raises:
            QemuError: nobody comes.
        """
        deadline = time.monotonic() + START_SECONDS
        while self._chardev(port).startswith("disconnected:"):
            if time.monotonic() > deadline:
                raise QemuError(f"nobody connects to {self.socket(port)}")
            time.sleep(POLL_SECONDS)

    def _chardev(self, label: str) -> str:
        listed = self.monitor.execute("query-chardev")
        return next(str(chardev["filename"]) for chardev in listed if chardev["label"] == label)

    def plug(self, port: str, controller: str = CONTROLLER) -> None:
        """Plug a port in."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.monitor.execute("device_add", port_device(port, controller))
                return
            except ExecuteError as error:
                # Shortly after it was unplugged QEMU still has the old device, which holds the chardev.
                if "in use" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def unplug(self, port: str) -> None:
        """Unplug a port; its socket stays."""
        self.monitor.execute("device_del", {"id": port})


def port_device(port: str, controller: str = CONTROLLER) -> dict[str, str]:
    """The device of a port of PORTS, as -device and device_add take it."""
    number = list(PORTS).index(port) + 1
    return {
        "driver": "virtserialport",
        "id": port,
        "bus": f"{controller}.0",
        "nr": str(number),
        "chardev": port,
        "name": PORTS[port],
    }


@contextmanager
def running_qemu(folder: Path, image: Image, disk: Path, *more: str) -> Iterator[Qemu]:
    """Start QEMU; it is killed after the block.

    Args:
        folder: for its sockets and logs; must exist, and have a short name.
        image: to boot.
        disk: the layer over the image that takes the changes.
        more: further options.

    Raises:
        QemuError: it does not start.
    """
    command = [*("setpriv", "--pdeathsig", "KILL", PROGRAM), *_options(folder, image, disk), *more]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    with ExitStack() as stack:
        stack.callback(_end, process)
        _wait_socket(folder / "monitor", process)
        monitor = stack.enter_context(connected(folder / "monitor"))
        stack.callback(process.kill)  # first, so that nobody waits for an answer of its
        yield Qemu(folder, process, monitor)


def with_kernel_options(*more: str) -> Sequence[str]:
    """Options of QEMU's that give the kernel more than it has anyway."""
    return ["-append", " ".join((KERNEL_OPTIONS, *more))]


def _wait_socket(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise QemuError(f"QEMU does not start: {path.with_name('log').read_text()}")
        time.sleep(POLL_SECONDS)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(STOP_SECONDS)


def _options(folder: Path, image: Image, disk: Path) -> Sequence[str]:
    return [
        *("-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc"),
        *("-accel", "tcg,thread=multi", "-cpu", image.processor, "-smp", "2", "-m", MEMORY),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
        *with_kernel_options(),
        *("-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe"),
        *("-qmp", f"unix:{folder / 'monitor'},server=on,wait=off"),
        *("-serial", f"file:{folder / 'console'}"),
        *(word for line in SERIAL_LINES for word in _serial_line(folder, line)),
        *("-device", f"virtio-serial-pci,id={CONTROLLER}"),
        *(word for port in PORTS for word in _port(folder, port)),
    ]


def _serial_line(folder: Path, name: str) -> Sequence[str]:
    return [*_socket(folder, name), "-serial", f"chardev:{name}"]


def _port(folder: Path, port: str) -> Sequence[str]:
    device = ",".join(
        value if name == "driver" else f"{name}={value}" for name, value in port_device(port).items()
    )
    return [*_socket(folder, port), "-device", device]


def _socket(folder: Path, name: str) -> Sequence[str]:
    return ["-chardev", f"socket,id={name},path={folder / name},server=on,wait=off"]
