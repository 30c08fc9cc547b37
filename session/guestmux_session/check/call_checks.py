"""Checks by calls that run nothing: of commands that no agent serves, and by callers that no agent may answer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from guestmux_session.check.findings import Finding, failed, passed, skipped
from guestmux_session.check.played_eventd import NO_ANSWER, Answer, PlayedEventd, Registration, ask_agent
from guestmux_transport.bus import Bus
from guestmux_transport.names import ERROR_PREFIX
from guestmux_transport.sealed_text import LARGE_BYTES, write_sealed
from guestmux_transport.values import Variant, object_from_json

UNKNOWN = "__org.guestmux_no-such-command"
"""Our own prefix: no agent serves it. To ask for what is not there is the one call that can do no harm."""

NO_ARGUMENTS: dict[str, Variant] = {}

AT_A_TIME = 8
"""Calls at once; eventd has at most 16 open to one agent."""

SLOW_SECONDS = 0.5
"""There is nothing to do for it: whoever takes longer does one thing at a time. Hosts wait, and so it is no fault."""

NEVER_GIVEN = (1 << 64) - 2
"""An id that no call has."""

NOT_FOUND = ERROR_PREFIX + "CommandNotFound"
REFUSED = (ERROR_PREFIX + "Denied", "org.freedesktop.DBus.Error.AccessDenied")
"""How an agent tells a stranger so; as itself, or by a library that checks callers."""

ODD: dict[str, Any] = {
    "nothing": None,
    "list": [1, "two", [3.5, None], {"four": False}],
    "deep": {"a": {"b": {"c": {"d": {"e": {}}}}}},
    "big": 1 << 63,
    "text": "\u00fc\u202e\U0001f600" * 100,
}
"""One of each kind of JSON value, as eventd sends them."""


class Caller:
    """eventd, as it calls the agent.

    Args:
        eventd: who owns the name.
        agent: the agent.
    """

    def __init__(self, eventd: PlayedEventd, agent: Registration) -> None:
        self._bus = eventd.bus
        self.agent = agent
        self._ids = 0

    async def call(
        self,
        command: str = UNKNOWN,
        arguments: dict[str, Any] | None = None,
        *,
        deadline: float = 10.0,
        seconds: float | None = None,
        call_id: int | None = None,
        more: dict[str, Variant] | None = None,
        fds: tuple[int, ...] = (),
    ) -> Answer:
        """Call a command as eventd does, and wait so many seconds for the answer."""
        self._ids += 1
        context = {
            "id": Variant("t", self._ids if call_id is None else call_id),
            "deadline": Variant("d", deadline),
            "port": Variant("s", "check"),
            "large": Variant("b", True),
            **(more or {}),
        }
        body = (command, object_from_json(arguments or {}), context)
        return await ask_agent(self._bus, self.agent, "Call", "sa{sv}a{sv}", body, fds, seconds)

    async def cancel(self, call_id: int) -> Answer:
        """Cancel a call."""
        return await ask_agent(self._bus, self.agent, "Cancel", "t", (call_id,))


async def call_checks(caller: Caller, stranger: Bus) -> AsyncIterator[Finding]:
    """All of them."""
    yield _unknown("unknown-command", await caller.call(), "a command that it never declared")
    yield _unknown("odd-arguments", await caller.call(arguments=ODD), "one of each kind of JSON value")
    more = {"org.guestmux.some-day": Variant("s", "new")}
    yield _unknown("unknown-context", await caller.call(more=more), "a context with a member of the future")
    large = {"text": "x" * (LARGE_BYTES - 1000)}
    yield _unknown(
        "long-arguments", await caller.call(arguments=large), "arguments of 127 KiB in the message"
    )
    yield await _large(caller)
    yield await _cancel(caller)
    yield await _many(caller)
    for finding in await _strangers(caller.agent, stranger):
        yield finding


def _unknown(check: str, answer: Answer, what: str) -> Finding:
    todo = f"answer the error {NOT_FOUND}, and look at the name before anything else"
    if answer.error == NO_ANSWER:
        return failed(check, f"{what}: no answer ({answer.text})", todo)
    if not answer.error:
        return failed(check, f"{what}: it answered with a result", todo)
    if answer.error != NOT_FOUND:
        return failed(check, f"{what}: the error is {answer.error}", todo)
    slow = f", after {answer.seconds:.1f} s" if answer.seconds >= SLOW_SECONDS else ""
    return passed(check, f"{what}: {NOT_FOUND}{slow}")


async def _large(caller: Caller) -> Finding:
    if not caller.agent.declared.large:
        text = "it did not say that it takes memfds: hosts get an error for arguments over some MiB"
        return skipped("large-messages", text, "for more, see 'Large messages' in docs/agents.md")
    with _memfd(b'{"text": "%b"}' % (b"x" * (3 * LARGE_BYTES))) as fd:
        more = {"arguments-fd": Variant("h", 0)}
        answer = await caller.call(more=more, fds=(fd,))
    return _unknown("large-messages", answer, "arguments of 384 KiB in a memfd")


@contextmanager
def _memfd(text: bytes) -> Iterator[int]:
    fd = write_sealed(text)
    try:
        yield fd
    finally:
        os.close(fd)


async def _cancel(caller: Caller) -> Finding:
    answer = await caller.cancel(NEVER_GIVEN)
    if answer.error:
        todo = "answer Cancel with nothing, whether there is such a call or not: it may just have ended"
        return failed("cancel", f"of a call that is not there: {answer}", todo)
    return passed("cancel", "of a call that is not there does nothing")


async def _many(caller: Caller) -> Finding:
    answers: list[Answer] = []

    async def call() -> None:
        answers.append(await caller.call())

    async with anyio.create_task_group() as group:
        for _ in range(AT_A_TIME):
            group.start_soon(call)
    missing = sum(answer.error == NO_ANSWER for answer in answers)
    if missing:
        return failed(
            "many-calls",
            f"{missing} of {AT_A_TIME} calls at a time got no answer",
            "answer every call, in any order",
        )
    slowest = max(answer.seconds for answer in answers)
    return passed("many-calls", f"{AT_A_TIME} at a time, all answered within {slowest:.2f} s")


async def _strangers(agent: Registration, stranger: Bus) -> list[Finding]:
    body = (UNKNOWN, NO_ARGUMENTS, {"id": Variant("t", 1)})
    called = await ask_agent(stranger, agent, "Call", "sa{sv}a{sv}", body)
    cancelled = await ask_agent(stranger, agent, "Cancel", "t", (NEVER_GIVEN,))
    return [refusal("strangers-call", called), refusal("strangers-cancel", cancelled)]


def refusal(check: str, answer: Answer) -> Finding:
    """Whether a caller that is not eventd was told so."""
    if answer.error in REFUSED:
        return passed(check, f"refused with {answer.error}")
    todo = (
        "compare the sender with GetNameOwner('org.guestmux.Manager1') before anything else, and answer "
        f"{REFUSED[0]}: the bus's policy may be laxer than you think"
    )
    return failed(check, f"a process that is not eventd got {answer}", todo)
