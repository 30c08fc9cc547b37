"""A call that is no more than a question to an agent, and its answer: it needs no task to wait for that."""

from __future__ import annotations

from typing import Any

from guestmux_eventd.agent_links import GiveUp, Outcome, Result, Settle, StreamLinks
from guestmux_eventd.agent_table import Agent
from guestmux_eventd.call_record import Record
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.schema import InvalidParameter, validate


class PlainCall:
    """A call without a task: its result is checked, its end put on record and told.

    Args:
        agent: which is called.
        command: the command.
        record: the call's.
        settle: told how it ended.
    """

    __slots__ = ("_agent", "_command", "_record", "_settle", "_withdraw")

    def __init__(self, agent: Agent, command: str, record: Record, settle: Settle) -> None:
        self._agent = agent
        self._command = command
        self._record = record
        self._settle = settle

    def begin(self, links: StreamLinks, arguments: dict[str, Any], *, port: str, timeout: float) -> None:
        """Ask the agent; the arguments are those of `StreamLinks.ask`.

        Raises:
            CommandFailure: the agent has too much to do; nobody is told otherwise.
        """
        self._record.begin()
        try:
            self._withdraw: GiveUp = links.ask(
                self._agent, self._command, arguments, self._ended, port=port, timeout=timeout
            )
        except CommandFailure:
            self._record.end("failed")
            raise

    def give_up(self) -> None:
        """Nobody waits for it any more; not after it was settled."""
        self._withdraw()
        self._record.end("cancelled")

    def _ended(self, outcome: Outcome) -> None:
        if isinstance(outcome, Result):
            try:
                check_result(self._agent, self._command, outcome.value)
            except CommandFailure as failure:
                outcome = failure
        self._record.end("failed" if isinstance(outcome, CommandFailure) else "done")
        self._settle(outcome)


def check_result(agent: Agent, command: str, value: Any) -> None:
    """Check what an agent answered.

    Raises:
        CommandFailure: it does not fit what the agent declared.
    """
    try:
        validate(agent.commands[command].returns, value, "return")
    except InvalidParameter as error:
        desc = f"agent '{agent.name}' answered {command} against its own schema: {error}"
        raise CommandFailure(desc) from error
