"""A session that is kept from going idle by the library, over streams that break and leases that run out."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import anyio
import pytest

import guestmux
from guestmux import idle_hold
from tests.support.standin_guest import Refused, StandInGuest

pytestmark = pytest.mark.anyio

MUX = pytest.mark.parametrize("dialect", ["mux"])
JSON = pytest.mark.parametrize("dialect", ["qmp", "qga"])


class Told:
    """What the library says of the hold."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = anyio.Event()

    def __call__(self, text: str) -> None:
        self.texts.append(text)
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        while not condition(self.texts):
            await self._changed.wait()

    async def until_back(self) -> None:
        """Wait until it was lost, and holds again."""
        await self.until(lambda texts: "" in texts)


@pytest.fixture
def told() -> Told:
    return Told()


def _serve_streams(standin: StandInGuest) -> None:
    standin.streams["session-hold-idle"] = lambda stream: stream.accept({"id": 1, "by": ["logind"]})


def _serve_leases(standin: StandInGuest) -> None:
    numbers = itertools.count(1)
    standin.commands["session-inhibit-idle"] = lambda asked: {
        "id": asked.get("id") or next(numbers),
        "by": [],
    }
    standin.commands["session-uninhibit-idle"] = lambda _: {}


@MUX
async def test_a_stream_holds_while_the_block_lasts(guest: guestmux.Guest, standin: StandInGuest) -> None:
    _serve_streams(standin)
    async with guest.idle_inhibited("A film", "c2", wait=3, timeout=5):
        (stream,) = standin.opened["session-hold-idle"]
        assert stream.request.arguments == {"reason": "A film", "session": "c2", "wait": 3, "timeout": 5}
        assert stream.closed is None
    await standin.until(lambda: stream.closed is not None)
    assert standin.requests["session-inhibit-idle"] == []


@MUX
async def test_a_stream_that_breaks_is_opened_again(
    guest: guestmux.Guest, standin: StandInGuest, told: Told
) -> None:
    _serve_streams(standin)
    async with guest.idle_inhibited("A film", told=told):
        standin.opened["session-hold-idle"][0].close()
        await told.until_back()
        assert len(standin.opened["session-hold-idle"]) == 2
    assert told.texts == ["the guest let go", ""]


@MUX
async def test_a_connection_that_comes_back(guest: guestmux.Guest, standin: StandInGuest, told: Told) -> None:
    _serve_streams(standin)
    async with guest.idle_inhibited("A film", told=told):
        standin.hang_up()
        await told.until_back()
    assert "" not in told.texts[:-1]
    assert len(standin.opened["session-hold-idle"]) == 2


@MUX
async def test_an_agent_without_a_channel_is_held_by_leases(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    _serve_leases(standin)
    async with guest.idle_inhibited("A film"):
        request = await standin.until_asked("session-inhibit-idle")
        assert request.arguments == {
            "reason": "A film",
            "seconds": idle_hold.LEASE_SECONDS,
            "session": "active",
        }
    assert (await standin.until_asked("session-uninhibit-idle")).arguments == {"id": 1, "session": "active"}


@JSON
async def test_a_lease_is_renewed_and_taken_anew(
    guest: guestmux.Guest, standin: StandInGuest, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_hold, "RENEW_SECONDS", 0)
    _serve_leases(standin)
    async with guest.idle_inhibited("A film", told=told):
        renewal = await standin.until_asked("session-inhibit-idle", 2)
        assert renewal.arguments["id"] == 1
        serve = standin.commands["session-inhibit-idle"]

        def lose_it_once(_asked: object) -> object:
            standin.commands["session-inhibit-idle"] = serve
            raise Refused("nothing keeps the session from going idle by the number 1")

        standin.commands["session-inhibit-idle"] = lose_it_once
        await told.until_back()
    assert told.texts == ["nothing keeps the session from going idle by the number 1", ""]
    assert (await standin.until_asked("session-uninhibit-idle")).arguments["id"] == 2


async def test_what_cannot_be_held_is_said_at_once(guest: guestmux.Guest) -> None:
    with pytest.raises(guestmux.CommandNotFound):
        async with guest.idle_inhibited("A film"):
            pytest.fail("it is not held")


async def test_an_error_in_the_block_comes_out_as_it_is(guest: guestmux.Guest, standin: StandInGuest) -> None:
    _serve_streams(standin)
    _serve_leases(standin)
    with pytest.raises(ZeroDivisionError):
        async with guest.idle_inhibited("A film"):
            raise ZeroDivisionError


async def test_by_hand(guest: guestmux.Guest, standin: StandInGuest) -> None:
    _serve_leases(standin)
    standin.commands["session-list-inhibitors"] = lambda _: [
        {"id": 1, "reason": "A film", "by": ["x11"], "seconds": 9.5},
        {"id": 2, "reason": "A stream's", "by": []},
    ]
    assert (await guest.inhibit_idle("A film", "c2", seconds=10)).id == 1
    assert (await standin.until_asked("session-inhibit-idle")).arguments == {
        "reason": "A film", "seconds": 10, "session": "c2",
    }  # fmt: skip
    one, two = await guest.idle_inhibitors("c2")
    assert (one.seconds, one.by, two.reason) == (9.5, ["x11"], "A stream's")
    await guest.uninhibit_idle(1, "c2")
    assert (await standin.until_asked("session-uninhibit-idle")).arguments == {"id": 1, "session": "c2"}
