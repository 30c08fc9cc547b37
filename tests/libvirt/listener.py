"""`virsh event`, as an operator leaves it running."""

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.libvirt.daemon import LibvirtError
from tests.libvirt.domain import NAME, Domain

EVENT_SECONDS = 30.0
"""Time that an event has to be printed."""

READY_SECONDS = 0.2
"""Between two events that are made to see whether the listener hears."""

MARK = "urn:guestmux:test"


class Listener:
    """A running `virsh event`.

    Args:
        process: of it.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout
        self._fd = process.stdout.fileno()
        self._text = b""

    def expect(self, text: str, seconds: float = EVENT_SECONDS) -> bool:
        """Read lines until one has this text; whether one came in time."""
        deadline = time.monotonic() + seconds
        while text.encode() not in (line := self._line(deadline)):
            if not line:
                return False
        return True

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._text:
            if not select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return b""
            if not (data := os.read(self._fd, 65536)):
                raise LibvirtError("virsh event has ended")
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        return line + b"\n"


@contextmanager
def listening(domain: Domain) -> Iterator[Listener]:
    """Start `virsh event` on all events of a domain, and wait until it hears; ends it after the block.

    Raises:
        LibvirtError: it does not.
    """
    command = domain.libvirt.virsh_command("event", "--domain", NAME, "--all", "--loop")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            listener = Listener(process)
            _wait_ready(domain, listener)
            yield listener
        finally:
            process.kill()


# virsh does not say when it has registered; the event of metadata is the last kind that it registers for.
def _wait_ready(domain: Domain, listener: Listener) -> None:
    for number in range(int(EVENT_SECONDS / READY_SECONDS)):
        domain.virsh(
            "metadata", "--live", "--uri", MARK, "--key", "test", "--set", f"<mark number='{number}'/>"
        )
        if listener.expect("'metadata-change'", READY_SECONDS):
            return
    raise LibvirtError("virsh event hears nothing")
