"""Memory and disk are set back in a QEMU that runs on, with a host connected that nobody tells."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import guestmux
from guestmux import blocking
from guestmux.blocking_events import EventStream
from guestmux.event import Disconnected, Event, Gap, Item, Reconnected
from tests.guest.logins import terminal_login
from tests.vm.audit import LOGINS, STREAM_SECONDS, deed_of
from tests.vm.emulated import WAIT_SECONDS
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

AGENT_SECONDS = 300
"""For a call that is never answered, as nobody is to come for whose agent it waits."""


def visit(machine: Machine, stream: EventStream, user: str) -> list[Item]:
    """Have somebody log in and out; gives all that was told up to that."""
    items: list[Item] = []
    with terminal_login(machine, user) as login:
        items += until(stream, "SESSION_LOGIN", user)
        login.logout()
    return items + until(stream, "SESSION_LOGOUT", user)


def until(stream: EventStream, name: str, user: str) -> list[Item]:
    items: list[Item] = []
    for item in stream:
        items.append(item)
        if isinstance(item, Event) and (item.name, item.data["user"]) == (name, user):
            return items
    raise AssertionError(f"no {name} of {user}: {items}")


def events(items: list[Item]) -> list[Event]:
    return [item for item in items if isinstance(item, Event)]


def positions(items: list[Item]) -> list[guestmux.Position]:
    return [guestmux.Position(epoch=event.epoch, seq=event.seq or 0) for event in events(items)]


@pytest.mark.parametrize("mux", [True, False], ids=["mux", "qmp"])
def test_numbers_that_come_twice_are_told(machine: Machine, tmp_path: Path, mux: bool) -> None:
    cursor, address = tmp_path / "cursor", f"unix:{machine.qemu.socket('qmp')}"
    with (
        ThreadPoolExecutor(1) as others,
        blocking.connect(address, timeout=WAIT_SECONDS, mux=mux) as guest,
        guest.events(*LOGINS, durable=cursor, timeout=STREAM_SECONDS) as stream,
    ):
        before = visit(machine, stream, "alice")
        machine.save_memory()
        asked = others.submit(
            guest.call, "session-get-info", session="user:nobody", wait=AGENT_SECONDS, timeout=AGENT_SECONDS
        )
        lost = [item for _ in range(2) for item in visit(machine, stream, "alice")]
        machine.load_memory()
        told = visit(machine, stream, "bob")
        later = visit(machine, stream, "alice")
        with pytest.raises(
            guestmux.ConnectionLost, match=r"set back .*; the command may or may not have run"
        ):
            asked.result(AGENT_SECONDS)
        # One that was away since the time that never was.
        with guest.events(*LOGINS, since=positions(lost)[-1], timeout=STREAM_SECONDS) as other:
            gap = next(iter(other))
    assert events(before + lost) == before + lost
    kinds = [Gap, Disconnected, Reconnected, Event, Event]
    assert [type(item) for item in told] == kinds, told
    assert [deed_of(event)[0] for event in events(told)] == list(LOGINS)
    first = positions(told)[0]
    assert first.seq <= positions(lost)[-1].seq, "it has a number of before"
    assert told[0] == Gap(0, first.seq - 1, "rolled-back")
    assert [type(item) for item in later] == [Event, Event]
    assert {place.epoch for place in positions(later)}.isdisjoint(place.epoch for place in positions(lost))
    assert isinstance(gap, Gap)
    assert gap.reason == "rolled-back"
    with (
        blocking.connect(address, timeout=WAIT_SECONDS, mux=mux) as guest,
        guest.events(*LOGINS, durable=cursor, timeout=STREAM_SECONDS) as stream,
    ):
        # What it was given last it was not done with.
        again = visit(machine, stream, "bob")
    assert positions(again)[0] == positions(later)[-1]
    assert len(events(again)) == len(again) == 3
