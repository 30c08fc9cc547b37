"""What becomes of a call, whichever way it came: the command found, its arguments checked, its result written."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from guestmux_protocol.json_text import JsonError, encode
from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_session.calls import CallTable, Running
from guestmux_session.declarations import Served
from guestmux_session.errors import CommandError

MAX_SHOWN = 128
"""Characters of the caller's text that an error repeats."""

logger = logging.getLogger(__name__)


class UnknownCommand(CommandError):
    """The agent serves no such command."""


class BadArguments(CommandError):
    """The arguments are not the command's."""


class Serving:
    """An agent's commands and the calls that run them.

    Args:
        served: the commands now, by name.
        calls: runs them.
        until_registered: waits for the registration: eventd's first call may come before we have read its answer.
    """

    def __init__(
        self,
        served: Mapping[str, Served],
        calls: CallTable,
        until_registered: Callable[[], Awaitable[None]],
    ) -> None:
        self.calls = calls
        self._served = served
        self._until_registered = until_registered

    def find(self, untrusted_name: str) -> Served:
        """A command by its name.

        Raises:
            UnknownCommand: there is none.
        """
        served = self._served.get(untrusted_name)
        if served is None:
            raise UnknownCommand(f"The command {untrusted_name[:MAX_SHOWN]} has not been found")
        return served

    def begin(self, served: Served, untrusted_arguments: dict[str, Any], call_id: int | None) -> Running:
        """Begin a command.

        Raises:
            BadArguments: they do not fit.
            TooManyCalls, CommandError: as `CallTable.begin`.
        """
        if served.description.stream:
            raise CommandError(
                f"{served.description.name} is a stream; open it on a port that carries streams"
            )
        prepared = prepare(served, untrusted_arguments)

        async def work() -> Any:
            await self.until_registered()
            return await (self.calls.in_thread(prepared) if served.blocking else prepared())

        return self.calls.begin(served.description.name, work, call_id)

    async def until_registered(self) -> None:
        """Wait until the agent knows of its registration."""
        await self._until_registered()


def prepare(served: Served, untrusted_arguments: dict[str, Any]) -> Callable[..., Any]:
    """Check arguments. Raises BadArguments."""
    try:
        return served.prepare(untrusted_arguments)
    except InvalidParameter as error:
        raise BadArguments(str(error)) from error


def written(served: Served, value: Any) -> tuple[Any, bytes]:
    """A command's result as its schema says, and as JSON; whatever else a method returned is its author's mistake.

    Raises:
        CommandError: it is none; the log says why.
    """
    name = served.description.name
    try:
        plain = msgspec.to_builtins({} if value is None and served.nothing else value, str_keys=True)
        validate(served.description.returns, plain, "return")
        return plain, encode(plain)
    except (TypeError, ValueError, RecursionError, InvalidParameter, JsonError) as error:
        raise internal_error(name, f"returned what it did not declare: {error}") from error


def internal_error(name: str, what: str) -> CommandError:
    """A mistake of a command's author: the log has it, the host learns where to look."""
    logger.error("%s %s", name, what)
    return CommandError(f"internal error in {name}; the agent's log says more")
