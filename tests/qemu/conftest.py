"""A real QEMU without a guest, and eventd at its ports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.eventd import Eventd, running_eventd
from tests.support.noguest.machine import PORTS, PROGRAM, NoGuest, no_guest


@pytest.fixture
def qemu() -> Iterator[NoGuest]:
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is missing: apt-get install qemu-system-x86")
    with no_guest() as qemu:
        yield qemu


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
def at_ports(qemu: NoGuest) -> list[str]:
    """The options that have eventd open QEMU's ports."""
    return [word for name in PORTS for word in ("--port", f"{name}=unix-connect:{qemu.port(name)}")]


@pytest.fixture
def eventd(bus: PrivateBus, at_ports: list[str]) -> Iterator[Eventd]:
    """eventd with QEMU's ports open; it was stopped by SIGTERM or runs on at the end."""
    with running_eventd(bus.address, *at_ports) as eventd:
        yield eventd
