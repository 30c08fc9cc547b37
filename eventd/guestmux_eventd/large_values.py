"""The answer that is being made to a host: in the agent's own text where it can be, large ones one at a time a port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import anyio

from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.messages import JsonText


class Answer:
    """The answer that is being made in this task.

    Attributes:
        value: a result, as it was decoded.
        text: the same as the agent encoded it, so that it need not be encoded once more.
    """

    def __init__(self, held: ExitStack) -> None:
        self.value: Any = None
        self.text = b""
        self.held = held

    def take(self, value: Any) -> Any:
        """A result in the form in which to encode it: the agent's own text where it has not changed since."""
        if not self.text or value is not self.value:
            return value
        text, self.value, self.text = JsonText(self.text), None, b""
        return text


_answer: ContextVar[Answer | None] = ContextVar("answer", default=None)


@contextmanager
def answering() -> Iterator[Answer]:
    """Until the end of the block an answer is made and sent; then another may be large."""
    with ExitStack() as held:
        answer = Answer(held)
        token = _answer.set(answer)
        try:
            yield answer
        finally:
            _answer.reset(token)


def keep_text(value: Any, text: bytes) -> None:
    """Have a result that is passed on unchanged sent as the agent encoded it, where that is one line of ASCII."""
    answer = _answer.get()
    if answer is not None and is_one_line(text):
        answer.value, answer.text = value, text


def is_one_line(text: bytes) -> bool:
    """Whether JSON text is one line of ASCII, as every dialect has it."""
    return text.isascii() and b"\n" not in text and b"\r" not in text


class LargeValues:
    """Lets each port have one large value in memory: a host that does not read holds up nobody else's."""

    def __init__(self) -> None:
        self._turns: dict[str, anyio.Lock] = {}

    async def admit(self, port: str) -> Answer:
        """Wait until the port's last large value is on its way.

        Raises:
            CommandFailure: nobody waits for an answer: eventd itself asks for nothing large.
        """
        answer = _answer.get()
        if answer is None:
            raise CommandFailure("an agent answered eventd with a large value, and was not asked for one")
        turn = self._turns.setdefault(port, anyio.Lock())
        await turn.acquire()
        answer.held.callback(turn.release)
        return answer
