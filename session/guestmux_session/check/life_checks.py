"""Checks on an agent's life: eventd ends the registration, another comes, and the agent is asked to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio

from guestmux_session.check.agent_program import LEAVE_SECONDS, AgentProgram
from guestmux_session.check.call_checks import NO_ARGUMENTS, UNKNOWN, refusal
from guestmux_session.check.channel_checks import PlayedChannel, channel_checks
from guestmux_session.check.findings import Finding, failed, passed, skipped
from guestmux_session.check.played_eventd import PlayedEventd, Registration, ask_agent
from guestmux_transport.bus import Bus
from guestmux_transport.values import Variant

REGISTER_SECONDS = 15.0
"""A program in an interpreter starts within a few; one that waits between attempts waits that long."""

AGAIN_SECONDS = 15.0
"""Time to register with another eventd: likewise."""

CALM_SECONDS = 1.0
"""Time in which an agent that was released must not be back with the same eventd."""


Found = TypeVar("Found")


async def life_checks(
    eventd: PlayedEventd, heir: PlayedEventd, agent: Registration, program: AgentProgram, stranger: Bus
) -> AsyncIterator[Finding]:
    """All of them, in this order; `heir` becomes eventd in `eventd`'s place."""
    yield refusal("strangers-release", await ask_agent(stranger, agent, "Release"))
    yield await _released(eventd, agent)
    await eventd.vanish()
    heir.refusals = 1
    heir.channels = []
    await heir.appear()
    yield await _tried(heir, program)
    again = None
    if heir.attempts:
        heir.session_came()
        again = await first_registration(heir, program, AGAIN_SECONDS)
        yield _came_back(again, program)
    if again is not None:
        body = (UNKNOWN, NO_ARGUMENTS, {"id": Variant("t", 1)})
        yield refusal("former-eventd", await ask_agent(eventd.bus, again, "Call", "sa{sv}a{sv}", body))
        async for finding in _channel(heir, again, program):
            yield finding
    else:
        yield skipped("former-eventd", "it is not registered with a new one")
    yield _events(eventd, heir)
    yield await _ends(heir, program)


async def _released(eventd: PlayedEventd, agent: Registration) -> Finding:
    before = len(eventd.registrations)
    eventd.forget()
    answer = await ask_agent(eventd.bus, agent, "Release")
    if answer.error:
        return failed(
            "release", f"Release: {answer}", "answer Release with nothing; the registration is over"
        )
    await anyio.sleep(CALM_SECONDS)
    if len(eventd.registrations) > before:
        todo = "wait for another owner of org.guestmux.Manager1: this eventd has no session for you"
        return failed("release", "it registered with the same eventd again at once", todo)
    return passed("release", "it waits for another eventd")


async def _tried(heir: PlayedEventd, program: AgentProgram) -> Finding:
    if await _unless_ended(program, lambda: heir.attempt(1, AGAIN_SECONDS)):
        return passed("new-eventd", "came to the one that came after")
    todo = "watch NameOwnerChanged of org.guestmux.Manager1, and register with each new owner"
    text = f"no registration with it within {AGAIN_SECONDS:g} s; {program.last_words}"
    return failed("new-eventd", text, todo)


def _came_back(again: Registration | None, program: AgentProgram) -> Finding:
    check = "not-in-session"
    if again is not None:
        return passed(check, "it tried again when there was a session")
    todo = (
        "at login systemd may be faster than logind: try again when the property Sessions changes, or end with an "
        "error, so that a unit starts it again"
    )
    if program.status:
        return skipped(check, f"{program.last_words}; a unit with Restart=on-failure is needed", todo)
    return failed(check, f"no second attempt within {AGAIN_SECONDS:g} s; {program.last_words}", todo)


async def _channel(heir: PlayedEventd, agent: Registration, program: AgentProgram) -> AsyncIterator[Finding]:
    """The first eventd had none: so one sees that the bus is enough as well."""
    ours = await heir.channel(1, CALM_SECONDS)
    if ours is None:
        yield skipped("channel", "it asked for none: no streams, and fewer events a second")
        return
    channel = PlayedChannel(ours, partial(heir.take_event, agent))
    async for finding in channel_checks(channel):
        yield finding
    heir.forget()
    await channel.aclose()
    if await _unless_ended(program, lambda: heir.registration(2, AGAIN_SECONDS)):
        yield passed("channel-lost", "it registered anew")
        return
    todo = "the channel's end is the registration's: register anew, at once and then ever later"
    text = f"no registration within {AGAIN_SECONDS:g} s; {program.last_words}"
    yield failed("channel-lost", text, todo)


async def first_registration(
    eventd: PlayedEventd, program: AgentProgram, seconds: float
) -> Registration | None:
    """Wait for an eventd's first registration; None where it does not come, or the program ends before."""
    return await _unless_ended(program, lambda: eventd.registration(1, seconds))


async def _unless_ended(program: AgentProgram, wait_for: Callable[[], Awaitable[Found]]) -> Found | None:
    found: list[Found] = []

    async def wait() -> None:
        found.append(await wait_for())
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await program.until_ended()
        group.cancel_scope.cancel()
    return found[0] if found else None


def _events(*eventds: PlayedEventd) -> Finding:
    faults = [fault for eventd in eventds for fault in eventd.event_faults]
    emitted = sum(eventd.emitted for eventd in eventds)
    if faults:
        return failed(
            "emitted", faults[0], "emit what was declared, with data that fit the schema; else eventd refuses"
        )
    if not emitted:
        return skipped("emitted", "it emitted nothing while it was looked at")
    return passed("emitted", f"{emitted} events, all declared")


async def _ends(heir: PlayedEventd, program: AgentProgram) -> Finding:
    if program.status is not None and heir.attempts:
        return skipped("end", program.last_words)
    if program.status is not None:
        return failed("end", program.last_words, "run until SIGTERM")
    if not await program.stop():
        text = f"it still runs {LEAVE_SECONDS:g} s after SIGTERM"
        return failed("end", text, "end at SIGTERM: logging out waits for it")
    if not await heir.farewell(LEAVE_SECONDS):
        return failed("end", "its bus connection outlives it", "close it, in child processes too")
    return passed("end", "within the time after SIGTERM")
