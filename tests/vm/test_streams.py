"""Files through a real virtio-serial port, and what is left on it of one when eventd dies in the middle."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guestmux import GuestmuxError, blocking
from guestmux_protocol.errors import RemoteError
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

BYTES = 8 << 20

EVIL = (
    b'\xff\n{"execute": "qmp_capabilities"}\n'
    b'{"execute": "guest-exec", "arguments": {"wait": 30, "path": "/usr/bin/touch", "arg": ["/tmp/evil"]}}\n'
)
"""What a parser of QMP that begins anywhere in a file of it would run."""


def wait_for_agent(machine: Machine, guest: blocking.Guest) -> None:
    def served() -> bool:
        try:
            return bool(guest.call("guest-file-stat", path="/tmp"))
        except (GuestmuxError, RemoteError):
            return False

    machine.wait_for("the system agent's streams", served)


def test_files_go_there_and_back(machine: Machine, guest: blocking.Guest, tmp_path: Path) -> None:
    wait_for_agent(machine, guest)
    assert guest.dialect == "mux"
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(BYTES))
    guest.upload(there, "/tmp/file")
    guest.download("/tmp/file", back)
    assert back.read_bytes() == there.read_bytes()
    guest.call("guest-file-remove", path="/tmp/file")


@pytest.mark.parametrize("times", range(3))
def test_content_is_no_command_to_an_eventd_that_starts_in_the_middle_of_it(
    machine: Machine, guest: blocking.Guest, tmp_path: Path, times: int
) -> None:
    wait_for_agent(machine, guest)
    evil = tmp_path / "evil"
    evil.write_bytes(EVIL * (4 * BYTES // len(EVIL)))
    with ThreadPoolExecutor() as pool:
        upload = pool.submit(guest.upload, evil, "/tmp/copy")
        machine.wait_for("some of it", lambda: machine.run("find /tmp -name '.copy*' -size +64k").stdout)
        machine.systemctl("kill", "--signal=KILL", "guestmux-eventd")
        with pytest.raises((GuestmuxError, RemoteError)):
            upload.result()
    wait_for_agent(machine, guest)
    assert machine.run("ls /tmp").stdout.count("evil") == 0
    machine.run("rm -f /tmp/.copy*")
