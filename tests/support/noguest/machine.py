"""A real QEMU with real chardevs and real virtio-serial ports, but no guest: its processor is halted.

It is there in a tenth of a second. This process plays the guest's kernel, in a thread, over QEMU's qtest socket; who
plays the guest's daemon connects to a unix socket instead of opening /dev/virtio-ports/NAME (see `bridge`).
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from tests.support.noguest.bridge import Bridge
from tests.support.noguest.console import Console
from tests.support.noguest.qtest import QTest

PROGRAM: Final = "qemu-system-x86_64"

PORTS: Final = {"qmp": "org.guestmux.0", "qga": "org.qemu.guest_agent.0"}
"""The usual ports: virtio names by short ones."""

HALT: Final = b"\xfa\xf4\xeb\xfd"
"""cli; hlt; jmp hlt"""

FIRMWARE_BYTES: Final = 65536
RESET_VECTOR: Final = FIRMWARE_BYTES - 16

START_SECONDS: Final = 20.0
"""Time that QEMU has to connect; it needs a twentieth of a second."""

STOP_SECONDS: Final = 10.0

MACHINE: Final = "microvm,auto-kernel-cmdline=off,ioapic2=off"
"""One interrupt controller, as qtest finds only the first."""


class NoGuest:
    """A running QEMU.

    Args:
        folder: of the sockets.
        ports: virtio names by short ones.
        console: the driver.
        qtest: its interrupts.
    """

    def __init__(self, folder: Path, ports: Mapping[str, str], console: Console, qtest: QTest) -> None:
        self._folder = folder
        self._console = console
        self._qtest = qtest
        self._stop = os.eventfd(0)
        names = {port.name: port for port in console.ports.values()}
        self._bridges = {
            names[full].number: Bridge(names[full], folder / f"{name}.port") for name, full in ports.items()
        }

    @property
    def monitor(self) -> str:
        """The socket of QEMU's monitor."""
        return str(self._folder / "monitor")

    def chardev(self, port: str) -> str:
        """The socket of a port on the host, which QEMU has."""
        return str(self._folder / port)

    def port(self, port: str) -> str:
        """The socket that stands for the port's device in the guest; one process at a time."""
        return str(self._folder / f"{port}.port")

    def stop(self) -> None:
        """End run(), from another thread."""
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """Close the sockets, after run()."""
        for bridge in self._bridges.values():
            bridge.close()
        os.close(self._stop)

    def run(self) -> None:
        """Play the guest's kernel until stop().

        Raises:
            QTestError: QEMU left.
        """
        while self._wait():
            if self._qtest.take_interrupt():
                self._console.acknowledge_interrupt()
            self._pass_on()

    def _wait(self) -> bool:
        """Wait until anything happens and let the bridges do their part; whether to go on."""
        poll = select.poll()
        poll.register(self._stop, select.POLLIN)
        poll.register(self._qtest, select.POLLIN)
        waiting = {}
        for bridge in self._bridges.values():
            connection, events = bridge.interest()
            poll.register(connection, events)
            waiting[connection.fileno()] = bridge
        # What was sent to QEMU for interest() may have brought an interrupt that poll() does not see any more.
        happened = poll.poll(0 if self._qtest.interrupted else None)
        for fd, events in happened:
            if fd in waiting:
                waiting[fd].ready(events)
        return self._stop not in dict(happened)

    def _pass_on(self) -> None:
        # Counted before the news of hosts: what is counted cannot be of a host whose coming was not heard of.
        filled = {number: port.incoming.filled() for number, port in self._console.ports.items()}
        left = self._console.hear()
        for number, bridge in self._bridges.items():
            bridge.pass_on(filled[number], host_left=self._console.ports[number] in left)


@contextmanager
def no_guest(ports: Mapping[str, str] = PORTS) -> Iterator[NoGuest]:
    """Run QEMU for as long as the block lasts.

    Args:
        ports: virtio names by the short names of the sockets.

    Raises:
        QTestError: QEMU left before the block ended.
        TimeoutError: it does not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guestmux-qemu-")))
        qtest = stack.enter_context(closing(_started(stack, folder, ports)))
        qtest.intercept_interrupts("ioapic")
        machine = NoGuest(folder, ports, Console(qtest, len(ports)), qtest)
        stack.callback(machine.close)
        executor = stack.enter_context(ThreadPoolExecutor(1, "noguest"))
        kernel = executor.submit(machine.run)
        stack.callback(_finish, machine, kernel)
        yield machine


def _finish(machine: NoGuest, kernel: Future[None]) -> None:
    machine.stop()
    kernel.result(STOP_SECONDS)


def _started(stack: ExitStack, folder: Path, ports: Mapping[str, str]) -> QTest:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(START_SECONDS)
        listener.bind(str(folder / "qtest"))
        listener.listen()
        process = subprocess.Popen(_command(folder, ports), stdin=subprocess.DEVNULL)
        stack.callback(_end, process)
        return QTest(listener.accept()[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(STOP_SECONDS)


def _command(folder: Path, ports: Mapping[str, str]) -> Sequence[str]:
    return [
        *("setpriv", "--pdeathsig", "KILL", shutil.which(PROGRAM) or PROGRAM),
        *("-M", MACHINE, "-accel", "tcg", "-m", "64", "-bios", str(_firmware(folder))),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-global", "virtio-mmio.force-legacy=false"),
        *("-qtest", f"unix:{folder / 'qtest'}", "-qtest-log", os.devnull),
        *("-qmp", f"unix:{folder / 'monitor'},server=on,wait=off"),
        *("-device", f"virtio-serial-device,max_ports={len(ports) + 1}"),
        *(word for number, name in enumerate(ports, 1) for word in _port(folder, number, name, ports[name])),
    ]


def _port(folder: Path, number: int, name: str, full_name: str) -> Sequence[str]:
    return [
        *("-chardev", f"socket,id={name},path={folder / name},server=on,wait=off"),
        *("-device", f"virtserialport,id={name},nr={number},chardev={name},name={full_name}"),
    ]


def _firmware(folder: Path) -> Path:
    """A firmware that halts the processor at once."""
    path = folder / "firmware"
    path.write_bytes(HALT.rjust(RESET_VECTOR + len(HALT), b"\0").ljust(FIRMWARE_BYTES, b"\0"))
    return path
