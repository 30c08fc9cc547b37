"""The guest's driver of a virtio console with named ports (virtio 1.1, sections 4.2 and 5.3), over qtest."""

from __future__ import annotations

import struct
from typing import Final

from tests.support.noguest.qtest import QTest
from tests.support.noguest.virtqueue import DESCRIPTORS, ReceiveQueue, SendQueue

FIRST_SLOT: Final = 0xFEB00000
SLOT_BYTES: Final = 0x200
SLOTS: Final = 24
"""Where `-M microvm` has its virtio-mmio devices (QEMU's hw/i386/microvm.c)."""

CONSOLE_DEVICE: Final = 3

DEVICE_ID: Final = 0x008
FEATURES: Final = 0x020
FEATURES_HALF: Final = 0x024
QUEUE: Final = 0x030
QUEUE_SIZE: Final = 0x038
QUEUE_READY: Final = 0x044
QUEUE_NOTIFY: Final = 0x050
INTERRUPT_STATUS: Final = 0x060
INTERRUPT_ACK: Final = 0x064
STATUS: Final = 0x070
QUEUE_DESCRIPTORS: Final = 0x080
QUEUE_AVAILABLE: Final = 0x090
QUEUE_USED: Final = 0x0A0

ACKNOWLEDGED: Final = 1
DRIVER: Final = 1 | 2
FEATURES_OK: Final = DRIVER | 8
DRIVER_OK: Final = FEATURES_OK | 4

MULTIPORT: Final = 1 << 1
VERSION_1: Final = 1 << 0
"""Bit 32: the first of the upper half."""

CONTROL_QUEUES: Final = 2

DEVICE_READY: Final = 0
PORT_ADD: Final = 1
PORT_READY: Final = 3
PORT_OPEN: Final = 6
PORT_NAME: Final = 7

FIRST_MEMORY: Final = 0x100000
"""The queues' place in the guest's memory: above what the first megabyte has by tradition."""

READ_BYTES: Final = 4096
"""Of a buffer for what comes: Linux gives its ports a page each."""

WRITE_BYTES: Final = 32 * 1024
"""Of a buffer for what goes: Linux takes as much in one write to a port."""


class ConsolePort:
    """One port of the console.

    Attributes:
        number: as in `virtserialport,nr=`.
        name: as in `virtserialport,name=`; empty until the device told.
        host: whether the other end, QEMU's chardev, is connected.
        is_open: whether the guest has the port open.
    """

    def __init__(self, console: Console, number: int) -> None:
        self.number = number
        self.name = ""
        self.host = False
        self.is_open = False
        self._console = console
        receiving = 2 + 2 * number
        self.incoming = ReceiveQueue(*console.place(receiving, READ_BYTES))
        self.outgoing = SendQueue(*console.place(receiving + 1, WRITE_BYTES))
        console.start_queue(receiving, self.incoming)
        console.start_queue(receiving + 1, self.outgoing)

    def __repr__(self) -> str:
        return f"<ConsolePort {self.number} {self.name}{' open' * self.is_open}{' host' * self.host}>"

    def open(self) -> None:
        """Open it, as a guest's process does; QEMU then takes bytes from the chardev."""
        self.incoming.receive_some(DESCRIPTORS)
        self._set_open(True)

    def close(self) -> None:
        """Close it; what was not received is dropped, as by Linux."""
        self._set_open(False)
        self.incoming.receive_some(DESCRIPTORS)

    def _set_open(self, is_open: bool) -> None:
        self.is_open = is_open
        self._console.control(self.number, PORT_OPEN, is_open)


class Console:
    """The device with its ports 1 to `ports`; port 0 is left to be a console.

    Args:
        qtest: of a QEMU with the device, whose interrupts are intercepted.
        ports: how many.
    """

    def __init__(self, qtest: QTest, ports: int) -> None:
        self._qtest = qtest
        self._slot = _find_slot(qtest)
        self._free_memory = FIRST_MEMORY
        self._accept_features()
        self._heard = ReceiveQueue(*self.place(CONTROL_QUEUES, READ_BYTES))
        self._said = SendQueue(*self.place(CONTROL_QUEUES + 1, READ_BYTES))
        self.start_queue(CONTROL_QUEUES, self._heard)
        self.start_queue(CONTROL_QUEUES + 1, self._said)
        self.ports = {number: ConsolePort(self, number) for number in range(1, ports + 1)}
        self._start()

    def place(self, number: int, buffer_bytes: int) -> tuple[QTest, int, int, tuple[int, int]]:
        """What a queue is made with: memory of its own, and the doorbell."""
        address = self._free_memory
        self._free_memory += ReceiveQueue.size(buffer_bytes)
        return self._qtest, address, buffer_bytes, (self._slot + QUEUE_NOTIFY, number)

    def start_queue(self, number: int, queue: ReceiveQueue | SendQueue) -> None:
        """Tell the device where a queue is."""
        self._write(QUEUE, number)
        self._write(QUEUE_SIZE, DESCRIPTORS)
        places = (
            (QUEUE_DESCRIPTORS, queue.descriptors),
            (QUEUE_AVAILABLE, queue.available),
            (QUEUE_USED, queue.used),
        )
        for register, address in places:
            self._write(register, address)
            self._write(register + 4, 0)
        self._write(QUEUE_READY, 1)

    def acknowledge_interrupt(self) -> None:
        """Let the device interrupt again; look at every queue after this, not before."""
        status = self._qtest.read_register(self._slot + INTERRUPT_STATUS)
        self._write(INTERRUPT_ACK, status)

    def control(self, port: int, event: int, value: int) -> None:
        """Send a control message."""
        self._said.reclaim()
        self._said.send(struct.pack("<IHH", port & 0xFFFFFFFF, event, value))

    def hear(self) -> set[ConsolePort]:
        """Take the device's messages; gives the ports whose host left, even if one came again."""
        left = set()
        while (message := self._heard.receive()) is not None:
            number, event, value = struct.unpack_from("<IHH", message)
            port = self.ports[number]
            if event == PORT_ADD:
                self.control(number, PORT_READY, 1)
            elif event == PORT_NAME:
                port.name = message[8:].rstrip(b"\0").decode()
            elif event == PORT_OPEN:
                port.host = bool(value)
                left |= set() if value else {port}
        return left

    def _accept_features(self) -> None:
        for status in (0, ACKNOWLEDGED, DRIVER):
            self._write(STATUS, status)
        for half, features in enumerate((MULTIPORT, VERSION_1)):
            self._write(FEATURES_HALF, half)
            self._write(FEATURES, features)
        self._write(STATUS, FEATURES_OK)
        assert self._qtest.read_register(self._slot + STATUS) == FEATURES_OK

    def _start(self) -> None:
        self._write(STATUS, DRIVER_OK)
        self._heard.start()
        for port in self.ports.values():
            port.incoming.start()
        self.control(-1, DEVICE_READY, 1)
        # The device answers a message before it answers qtest, so nothing has to be waited for.
        while not all(port.name for port in self.ports.values()):
            self.hear()

    def _write(self, register: int, value: int) -> None:
        self._qtest.write_registers((self._slot + register, value))


def _find_slot(qtest: QTest) -> int:
    slots = (FIRST_SLOT + number * SLOT_BYTES for number in range(SLOTS))
    return next(slot for slot in slots if qtest.read_register(slot + DEVICE_ID) == CONSOLE_DEVICE)
