"""Shutdown, reboot and suspend: a success has no reply."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import guestmux
from guestmux import leaving
from tests.support.standin_guest import SILENCE, Refused, StandInGuest

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "PING_INTERVAL", 0.01)
    monkeypatch.setattr(leaving, "SILENCE", 0.05)
    monkeypatch.setattr(leaving, "REFUSAL_TIME", 0.05)


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for all that comes, however busy the machine is."""
    monkeypatch.setattr(leaving, "SILENCE", 60.0)
    monkeypatch.setattr(leaving, "REFUSAL_TIME", 60.0)


def silent(_: dict[str, Any]) -> Any:
    return SILENCE


async def test_the_connection_ends(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def shut_down(_: dict[str, Any]) -> Any:
        standin.hang_up()
        return SILENCE

    standin.commands["guest-shutdown"] = shut_down
    await guest.shutdown()
    assert (await standin.until_asked("guest-shutdown")).arguments == {"mode": "powerdown"}


async def test_nobody_answers_any_more(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def reboot(_: dict[str, Any]) -> Any:
        standin.commands["guest-ping"] = silent
        return SILENCE

    standin.commands["guest-shutdown"] = reboot
    await guest.reboot()
    assert standin.requests["guest-shutdown"][0].arguments == {"mode": "reboot"}


@CONCURRENT
async def test_the_guest_begins_anew(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def reboot(_: dict[str, Any]) -> Any:
        standin.restart()
        return SILENCE

    standin.commands["guest-shutdown"] = reboot
    await guest.reboot()


async def test_a_refusal(
    guest: guestmux.Guest, standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("not now")

    patient(monkeypatch)
    standin.commands["guest-shutdown"] = refuse
    with pytest.raises(guestmux.CommandFailed, match="not now"):
        await guest.shutdown(until_gone=False)
    with pytest.raises(guestmux.CommandFailed, match="not now"):
        await guest.shutdown()


async def test_it_stays(
    guest: guestmux.Guest, standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    standin.commands["guest-shutdown"] = silent
    with pytest.raises(guestmux.CallTimeout, match="still answers"):
        await guest.shutdown(timeout=0.2)
    await guest.ping()


@pytest.mark.parametrize("answer", [SILENCE, {}])
async def test_who_does_not_wait(guest: guestmux.Guest, standin: StandInGuest, answer: object) -> None:
    standin.commands["guest-shutdown"] = lambda _: answer
    await guest.shutdown("halt", until_gone=False)
    await guest.ping()


@pytest.mark.parametrize("mode", ["ram", "disk", "hybrid"])
async def test_the_guest_says_that_it_sleeps(guest: guestmux.Guest, standin: StandInGuest, mode: Any) -> None:
    def sleep(_: dict[str, Any]) -> Any:
        standin.emit("POWER_SLEEP")
        return SILENCE

    standin.commands[f"guest-suspend-{mode}"] = sleep
    await guest.suspend(mode)


async def test_one_without_events(guest: guestmux.Guest, standin: StandInGuest) -> None:
    del standin.commands["guest-event-subscribe"]

    def sleep(_: dict[str, Any]) -> Any:
        standin.commands["guest-ping"] = silent
        return SILENCE

    standin.commands["guest-suspend-ram"] = sleep
    await guest.suspend()


async def test_no_connection(standin: StandInGuest) -> None:
    async with guestmux.connect(standin.address, reconnect=False) as guest:
        standin.hang_up()
        while guest.connected:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(guestmux.NotConnected):
            await guest.shutdown()
