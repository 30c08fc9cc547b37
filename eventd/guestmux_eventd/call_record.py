"""What goes on record of one call, however it ends."""

from __future__ import annotations

from types import TracebackType

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.audit import Audit
from guestmux_eventd.caller import Caller
from guestmux_eventd.refusal import CommandFailure


class Record:
    """A call under way that goes on record when it ends; a context manager.

    Attributes:
        outcome: what became of it, where that is known before its end: `done` or `failed`.
    """

    __slots__ = ("_agent", "_audit", "_begun", "_caller", "_command", "outcome")

    def __init__(self, audit: Audit | None, caller: Caller, agent: Agent, command: str) -> None:
        self.outcome = ""
        self._audit = audit
        self._caller = caller
        self._agent = agent
        self._command = command

    def begin(self) -> None:
        """The call begins."""
        if self._audit:
            self._begun = self._audit.clock()

    def end(self, outcome: str) -> None:
        """The call ended: `done`, `failed` or `cancelled`."""
        if self._audit:
            seconds = self._audit.clock() - self._begun
            self._audit.ran(self._caller, self._agent, self._command, outcome, seconds)

    def __enter__(self) -> Record:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        outcome = self.outcome or "done"
        if kind is not None:
            outcome = "failed" if issubclass(kind, CommandFailure) else "cancelled"
        self.end(outcome)
