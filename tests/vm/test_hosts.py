"""Hosts that come and go on a real port, in the worst moments.

The kernel tells of a host by level only: of one that leaves and another that comes before eventd had a look, nothing
is to be seen. So whoever connects at once begins with a sync, as guestmux and all clients of qemu-ga do; who waits for
a greeting first has to leave eventd a moment.
"""

import time

import pytest

from guestmux import ConnectError, blocking
from tests.guest.system import POLL_SECONDS
from tests.support.wire_host import WireHost
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

HOSTS = 100

POLITE_EVERY = 5
"""How many rude hosts come and go before one looks whether all is well.

QEMU tells the guest of each coming and leaving over a queue of 32, and drops what is over it (send_control_msg in
hw/char/virtio-serial-bus.c): hosts that come and go faster than the guest looks leave it with a wrong state.
"""

FLOOD_BYTES = 24 * 1024
"""What an emulated eventd answers in a moment; more than six of the kernel's buffers."""

NEGOTIATION = b'{"execute": "qmp_capabilities"}'
LARGE_REPLY = b'{"execute": "guest-info", "id": "rude"}'
PING = b'{"execute": "guest-ping", "id": "rude"}'

PHASES = {
    "idle": b"",
    "mid-request": NEGOTIATION + LARGE_REPLY[:-5],
    "mid-reply": NEGOTIATION + LARGE_REPLY,
    "flood": NEGOTIATION + PING * (FLOOD_BYTES // len(PING)),
}
"""What a host sends before it leaves without a look at the answer."""

MOST_TRIES = 100

MAX_MEMORY = 64 * 1024 * 1024


def come_and_go(machine: Machine, dialect: str, data: bytes) -> None:
    with machine.host(dialect) as host:
        host.send(data)


def be_polite(address: str) -> None:
    """A host by the SDK: it has its answers, whatever the ones before it did."""
    for _ in range(MOST_TRIES):
        try:
            with blocking.connect(address, timeout=15, reconnect=False) as guest:
                return guest.ping()
        except ConnectError as error:
            if "too many hosts wait there" not in str(error):
                raise
            time.sleep(POLL_SECONDS)  # QEMU has one at a time, and a backlog of one
    raise AssertionError(f"QEMU has no time for anybody on {address}")


@pytest.mark.parametrize("phase", PHASES)
def test_a_hundred_hosts_that_leave(machine: Machine, phase: str) -> None:
    before = machine.eventd_pid()
    for _ in range(HOSTS // POLITE_EVERY // 2):
        for dialect in ("qmp", "qga"):
            for _ in range(POLITE_EVERY):
                come_and_go(machine, dialect, PHASES[phase])
            be_polite(f"unix:{machine.qemu.socket(dialect)}")
    assert machine.eventd_pid() == before
    assert machine.eventd_memory() < MAX_MEMORY


def test_after_a_sync_nothing_comes_of_the_host_before(machine: Machine) -> None:
    for number in range(HOSTS):
        come_and_go(machine, "qga", LARGE_REPLY + PING)
        with machine.host("qga") as host:
            host.send(b"\xff")
            host.request("guest-sync-delimited", id=number)
            host.skip_until(b"\xff")
            assert host.message() == {"return": number, "id": "guest-sync-delimited"}
            host.request("guest-ping", request_id=str(number))
            assert host.message() == {"return": {}, "id": str(number)}


def test_the_next_host_is_greeted_and_gets_nothing_of_the_one_before(machine: Machine) -> None:
    for _ in range(5):
        with machine.host("qmp") as host:
            host.greeted("oob")
            host.send(LARGE_REPLY * 20)
        machine.wait_for("the host's leaving", lambda: not machine.has_host())
        with machine.host("qmp") as host:
            host.greeted()
            host.request("guest-ping", request_id="mine")
            assert host.message() == {"return": {}, "id": "mine"}
        machine.wait_for("the host's leaving", lambda: not machine.has_host())


def test_a_host_that_does_not_read_is_not_read_from_and_loses_nothing(machine: Machine) -> None:
    with machine.host("qga") as host:
        sent = fill(host)
        assert machine.eventd_memory() < MAX_MEMORY
        for _ in range(sent):
            assert host.message()["id"] == "rude"


def fill(host: WireHost) -> int:
    """Send requests until nobody takes them for a second; gives how many went whole."""
    patience = host.sock.gettimeout()
    host.sock.settimeout(1)
    request = LARGE_REPLY + b" " * 3000
    taken = 0
    try:
        while True:
            taken += host.sock.send(request[taken % len(request) :])
    except TimeoutError:
        host.sock.settimeout(patience)
    # All of a request but its padding is enough.
    return taken // len(request) + (taken % len(request) >= len(LARGE_REPLY))
