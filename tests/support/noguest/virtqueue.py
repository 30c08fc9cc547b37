"""Split virtqueues in the guest's memory (virtio 1.1, section 2.6), from the driver's side."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from tests.support.noguest.qtest import QTest

DESCRIPTORS: Final = 32
"""Buffers of a queue; the shortest of virtio-console's, its control queue, has no more in QEMU."""

RINGS_BYTES: Final = 4096
"""Room of a queue's three rings, of 512, 70 and 262 bytes."""

AVAILABLE_OFFSET: Final = 1024
USED_OFFSET: Final = 2048

DEVICE_WRITES: Final = 2
"""VIRTQ_DESC_F_WRITE."""

INDEX_MASK: Final = 0xFFFF


class Virtqueue:
    """A queue whose buffers all have one size and a fixed place.

    Args:
        qtest: reaches the memory.
        address: of the rings, with the buffers behind them; `size(buffer_bytes)` bytes are used.
        buffer_bytes: of each buffer.
        doorbell: the register that tells the device, and what to write there.
    """

    flags = 0

    def __init__(self, qtest: QTest, address: int, buffer_bytes: int, doorbell: tuple[int, int]) -> None:
        self.descriptors = address
        self.available = address + AVAILABLE_OFFSET
        self.used = address + USED_OFFSET
        self._qtest = qtest
        self._buffers = address + RINGS_BYTES
        self._buffer_bytes = buffer_bytes
        self._doorbell = doorbell
        self._made_available = 0
        self._seen_used = 0
        self._clear()

    @staticmethod
    def size(buffer_bytes: int) -> int:
        """The memory that a queue takes, in bytes."""
        return RINGS_BYTES + DESCRIPTORS * buffer_bytes

    def buffer(self, number: int) -> int:
        """The address of a buffer."""
        return self._buffers + number * self._buffer_bytes

    def _clear(self) -> None:
        self._qtest.write((self.descriptors, bytes(RINGS_BYTES)))

    def _offer(self, number: int, length: int, data: bytes = b"") -> None:
        """Make a buffer available; the device does not look before _ring()."""
        slot = self.available + 4 + 2 * (self._made_available % DESCRIPTORS)
        self._made_available = (self._made_available + 1) & INDEX_MASK
        descriptor = struct.pack("<QIHH", self.buffer(number), length, self.flags, 0)
        chunks = [(self.buffer(number), data)] if data else []
        self._qtest.write(
            *chunks,
            (self.descriptors + 16 * number, descriptor),
            (slot, struct.pack("<H", number)),
            (self.available + 2, struct.pack("<H", self._made_available)),
        )

    def _ring(self) -> None:
        self._qtest.write_registers(self._doorbell)

    def _used_index(self) -> int:
        (index,) = struct.unpack("<H", self._qtest.read(self.used + 2, 2))
        return int(index)

    def _next_used(self) -> tuple[int, int] | None:
        """The next buffer that the device is done with and how many bytes it wrote; None without any."""
        if self._used_index() == self._seen_used:
            return None
        slot = self.used + 4 + 8 * (self._seen_used % DESCRIPTORS)
        self._seen_used = (self._seen_used + 1) & INDEX_MASK
        number, length = struct.unpack("<II", self._qtest.read(slot, 8))
        return number, length


class ReceiveQueue(Virtqueue):
    """Buffers that the device fills: what is not received here holds the device up."""

    flags = DEVICE_WRITES

    def start(self) -> None:
        """Give the device all buffers."""
        for number in range(DESCRIPTORS):
            self._offer(number, self._buffer_bytes)
        self._ring()

    def receive(self) -> bytes | None:
        """Take what the device put into one buffer, and give that back to it; None without any."""
        if (used := self._next_used()) is None:
            return None
        number, length = used
        data = self._qtest.read(self.buffer(number), length) if length else b""
        self._offer(number, self._buffer_bytes)
        self._ring()
        return data

    def filled(self) -> int:
        """How many buffers there are to receive."""
        return (self._used_index() - self._seen_used) & INDEX_MASK

    def receive_some(self, most: int) -> bytes:
        """Take what is in the next `most` buffers."""
        received = bytearray()
        while most and (data := self.receive()) is not None:
            received += data
            most -= 1
        return bytes(received)


class SendQueue(Virtqueue):
    """Buffers that the device empties."""

    def __init__(self, qtest: QTest, address: int, buffer_bytes: int, doorbell: tuple[int, int]) -> None:
        super().__init__(qtest, address, buffer_bytes, doorbell)
        self._free = deque(range(DESCRIPTORS))

    def reclaim(self) -> bool:
        """Take back the buffers that the device emptied; whether any is free then."""
        while (used := self._next_used()) is not None:
            self._free.append(used[0])
        return bool(self._free)

    def send(self, data: bytes) -> None:
        """Give the device a buffer with these bytes.

        Raises:
            IndexError: no buffer is free; see reclaim().
        """
        self._offer(self._free.popleft(), len(data), data)
        self._ring()
