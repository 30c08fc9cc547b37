"""A private bus and a real eventd on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.eventd import Eventd, running_eventd


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
def eventd(bus: PrivateBus) -> Iterator[Eventd]:
    with running_eventd(bus.address) as eventd:
        yield eventd
