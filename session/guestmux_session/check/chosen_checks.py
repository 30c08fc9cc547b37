"""Checks that run commands: only of those that the author has named as harmless."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from guestmux_protocol.registry import Command
from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_session.check.call_checks import Caller
from guestmux_session.check.findings import Finding, failed, passed, skipped
from guestmux_session.check.played_eventd import ANSWER_SECONDS, NO_ANSWER, Answer
from guestmux_transport.errors import InvalidValue
from guestmux_transport.names import ERROR_PREFIX
from guestmux_transport.values import to_json

NO_TIME = 0.001
"""Seconds of the deadline that cannot be kept."""

CALL_SECONDS = 30.0
"""A command that somebody named may take as long as hosts wait where they say nothing else."""

LONG_ENOUGH = 0.5
"""Seconds that a command must take for one to see whether Cancel ends it."""

INTERNAL_ERROR = "internal error in "
"""What the SDK answers for a bug of the command's."""

ID = 77
"""Of the call that is cancelled."""

WRONG = {"__org.guestmux_no-such-argument": [None, {"x": 1}]}
"""An argument that no command has."""

Chosen = Sequence[tuple[str, dict[str, Any]]]
"""Commands that may be run, with the arguments for it; one may be there several times."""


async def chosen_checks(caller: Caller, chosen: Chosen) -> AsyncIterator[Finding]:
    """All of them."""
    served = {name: one for name, one in caller.agent.declared.commands.items() if not one.stream}
    if not chosen and served:
        text = "no command was run: the checker cannot know which do no harm"
        yield skipped("calls", text, f"say which: --call {min(served)}")
    times = Counter[str]()
    for name, arguments in chosen:
        times[name] += 1
        label = name if times[name] == 1 else f"{name} ({times[name]})"
        if name not in served:
            todo = f"--call one of: {', '.join(sorted(served))}"
            yield failed(label, "it does not serve this command", todo)
            continue
        first = await caller.call(name, arguments, deadline=CALL_SECONDS, seconds=CALL_SECONDS)
        yield _result(label, served[name], first)
        patience = first.seconds + ANSWER_SECONDS
        wrong = await caller.call(name, {**arguments, **WRONG}, seconds=patience)
        yield _alive(f"{label} wrongly", wrong, "it did not notice; eventd looks at arguments before")
        hurried = await caller.call(name, arguments, deadline=NO_TIME, seconds=patience)
        yield _alive(f"{label} in no time", hurried, f"it answered in {hurried.seconds:.2f} s")
        took = 0.0 if first.error else first.seconds
        yield await _cancelled(f"{label} cancelled", caller, name, arguments, took)


def _result(check: str, command: Command, answer: Answer) -> Finding:
    todo = "answer {'return': value} with what the schema's `returns` says, or the error CommandFailed"
    if answer.error == NO_ANSWER:
        return failed(check, f"no answer ({answer.text})", todo)
    if answer.error:
        return _failure(check, answer)
    result = answer.value[0] if answer.value else None
    if not isinstance(result, dict) or not result.keys() & {"return", "return-fd"}:
        return failed(check, "the answer has no 'return'", todo)
    if "return-fd" in result:
        return passed(check, "answered by a memfd, which was not read")
    try:
        validate(command.returns, to_json(result["return"]), "return")
    except (InvalidParameter, InvalidValue) as error:
        return failed(check, f"the result is not what the schema says: {error}", todo)
    return passed(check, f"answered as its schema says, in {answer.seconds:.2f} s")


def _failure(check: str, answer: Answer) -> Finding:
    if not answer.error.startswith(ERROR_PREFIX):
        todo = f"fail with {ERROR_PREFIX}CommandFailed: of other errors hosts are told 'agent ... failed'"
        return failed(check, f"it failed with {answer}", todo)
    if not answer.text.strip():
        return failed(
            check, f"{answer.error} says nothing", "the text is for people at the host: what to do next"
        )
    if answer.text.startswith(INTERNAL_ERROR):
        todo = "it raised what is no CommandError, or returned what is not as declared: its log has the traceback"
        return failed(check, answer.text[:200], todo)
    return passed(check, f"it failed, and says why: {answer.text[:200]}")


def _alive(check: str, answer: Answer, text: str) -> Finding:
    """Eventd has checked arguments and keeps deadlines itself; a faulty agent hangs or dies of them all the same."""
    if answer.error == NO_ANSWER:
        todo = "answer every call: an error for arguments that do not fit, and when `deadline` is over"
        return failed(check, f"no answer ({answer.text})", todo)
    if answer.error:
        return _failure(check, answer)
    return passed(check, text)


async def _cancelled(
    check: str, caller: Caller, name: str, arguments: dict[str, Any], took: float
) -> Finding:
    """Begin a command that takes so many seconds, 0 where nobody knows, and cancel it."""
    patience = took + ANSWER_SECONDS
    late: list[float] = []
    async with anyio.create_task_group() as group:

        async def call() -> None:
            answer = await caller.call(name, arguments, call_id=ID, seconds=patience)
            if not answer.error:
                late.append(time.monotonic())
            over.set()

        over = anyio.Event()
        group.start_soon(call)
        # The call goes out first: what one connection sends arrives in its order.
        await checkpoint()
        answer = await caller.cancel(ID)
        cancelled, after = time.monotonic(), await caller.call()
        if took >= LONG_ENOUGH:
            with anyio.move_on_after(patience):
                await over.wait()
        group.cancel_scope.cancel()
    if answer.error or after.error == NO_ANSWER:
        text = f"Cancel: {answer}; the next call: {after}"
        return failed(check, text, "answer Cancel at once, with nothing")
    return _ended(check, took, [when - cancelled for when in late])


def _ended(check: str, took: float, late: list[float]) -> Finding:
    """Whether a command that was cancelled went on. A result that was under way comes before Cancel's answer."""
    if took < LONG_ENOUGH:
        return passed(check, "it answers the next call; the command is too short for one to see it end")
    if late and late[0] >= LONG_ENOUGH / 2:
        todo = "stop what the command does when Cancel comes: hosts have gone, and it keeps one of 16 places"
        return failed(check, f"it went on: the result came {late[0]:.1f} s after Cancel was answered", todo)
    return passed(check, "the command ended, and it answers the next call")
