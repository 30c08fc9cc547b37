"""QEMU's qtest socket: the guest's memory and devices, read and written from outside the guest."""

from __future__ import annotations

import base64
import select
import socket
from collections.abc import Sequence
from typing import Final

ANSWER_SECONDS: Final = 10.0
"""QEMU's main loop answers in microseconds; one that says nothing for so long hangs."""

READ_BYTES: Final = 256 * 1024
"""Most taken from the socket at once: one large buffer in base64."""


class QTestError(Exception):
    """QEMU refused a command, or left."""


class QTest:
    """One connection, which sends commands and waits for their answers; interrupts come in between.

    The commands are those of QEMU's softmmu/qtest.c.

    Args:
        connection: QEMU's end connected already; taken over.

    Attributes:
        interrupted: whether an interrupt came with the answers, and take_interrupt() did not tell yet.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(ANSWER_SECONDS)
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._buffer = b""
        self._lines: list[str] = []
        self.interrupted = False

    def fileno(self) -> int:
        """The socket, readable when QEMU interrupts."""
        return self._connection.fileno()

    def close(self) -> None:
        """Disconnect; QEMU runs on."""
        self._connection.close()

    def commands(self, *lines: str) -> list[list[str]]:
        """Run commands in one go; gives the words that each answers after OK.

        Raises:
            QTestError: QEMU refused one, or left.
        """
        self._connection.sendall("".join(f"{line}\n" for line in lines).encode())
        return [self._answer(line) for line in lines]

    def take_interrupt(self) -> bool:
        """Whether an interrupt was raised since the last call, by what came so far. Does not wait.

        Raises:
            QTestError: QEMU left.
        """
        while self._has_input():
            self._fill()
        answers = [line for line in self._lines if not self._note(line)]
        if answers:
            raise QTestError(f"an answer to nothing: {answers}")
        self._lines.clear()
        interrupted, self.interrupted = self.interrupted, False
        return interrupted

    def intercept_interrupts(self, controller: str) -> None:
        """Be told of the interrupts that arrive at an interrupt controller."""
        self.commands(f"irq_intercept_in {controller}")

    def read_register(self, address: int) -> int:
        """Read 32 bits."""
        return int(self.commands(f"readl {address:#x}")[0][0], 16)

    def write_registers(self, *values: tuple[int, int]) -> None:
        """Write 32 bits each, as (address, value), in order."""
        self.commands(*(f"writel {address:#x} {value:#x}" for address, value in values))

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""
        return base64.b64decode(self.commands(f"b64read {address:#x} {size:#x}")[0][0])

    def write(self, *chunks: tuple[int, bytes]) -> None:
        """Write memory, as (address, bytes), in order."""
        self.commands(*(_write_command(address, data) for address, data in chunks))

    def _answer(self, command: str) -> list[str]:
        word, *rest = self._next_answer().split()
        if word != "OK":
            raise QTestError(f"{command[:80]}: {word} {' '.join(rest)}")
        return rest

    def _next_answer(self) -> str:
        while True:
            while not self._lines:
                self._fill()
            line = self._lines.pop(0)
            if not self._note(line):
                return line

    def _note(self, line: str) -> bool:
        """Remember an interrupt; whether it was one."""
        if not line.startswith("IRQ "):
            return False
        self.interrupted |= line.startswith("IRQ raise")
        return True

    def _has_input(self) -> bool:
        return bool(self._poll.poll(0))

    def _fill(self) -> None:
        chunk = self._connection.recv(READ_BYTES)
        if not chunk:
            raise QTestError("QEMU left")
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        self._lines += [line.decode() for line in lines]


def _write_command(address: int, data: Sequence[int] | bytes) -> str:
    return f"b64write {address:#x} {len(data):#x} {base64.b64encode(bytes(data)).decode()}"
