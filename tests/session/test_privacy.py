"""An agent of the SDK under an eventd that withholds and drops: it is told, and its numbers stay right."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_protocol.registry import Data
from guestmux_session import Agent, Event
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import running_eventd
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

TABLES = """
[[privacy]]
events = ["__org.example_HIDDEN"]
drop = true
[[privacy]]
events = ["__org.example_SHOWN"]
withhold = ["what"]
"""


class Said(Data, frozen=True):
    """Something was said."""

    what: str


class Talker(Agent):
    """Says things that leave, and things that do not."""

    name = "org.example.talker"
    version = "1"
    shown = Event("__org.example_SHOWN", Said)
    hidden = Event("__org.example_HIDDEN", Said)


class WithoutChannel(Talker):
    """The same by D-Bus alone."""

    channel = False


@pytest.fixture
async def eventd(system_bus: PrivateBus, tmp_path: Path) -> AsyncIterator[Any]:
    config = tmp_path / "eventd.toml"
    config.write_text(TABLES)
    async with standin_logind(system_bus.address) as logind:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        with running_eventd(system_bus.address, "--config", str(config)) as eventd:
            yield eventd


@pytest.mark.parametrize("kind", [Talker, WithoutChannel])
async def test_what_is_dropped_has_the_number_0_and_the_others_theirs(
    kind: type[Talker], eventd: Any, system_bus: PrivateBus, running: Running
) -> None:
    host = await eventd.qmp_host()
    await host.subscribe("*")
    talker, numbers = kind(bus=system_bus.address), {}
    async with running(talker):
        await talker.shown.until_wanted()
        assert not talker.hidden.wanted
        assert (talker.shown.withholds("what"), talker.shown.withholds("more")) == (True, False)

        async def say(number: int) -> None:
            event = talker.hidden if number % 3 == 0 else talker.shown
            numbers[number] = await event(Said(what=str(number)))

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(say, number)
        said = [numbers[number] for number in range(100) if number % 3]
        assert {numbers[number] for number in range(0, 100, 3)} == {0}
        assert sorted(said) == list(range(min(said), min(said) + len(said)))
        told = [await host.event("__org.example_SHOWN") for _ in said]
        assert [event["seq"] for event in told] == sorted(said)
        assert not any("what" in event for event in told)
