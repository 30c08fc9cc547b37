"""Calls an agent's verbs as eventd would, without eventd, agent or bus."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import Any

import anyio.lowlevel
import msgspec

from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_session.declarations import Served, commands_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.processes import Processes


class Verbs:
    """Some parts' commands. Answers look as on the wire: `{"return": …}` or `{"error": {"class": …, "desc": …}}`."""

    def __init__(self, *parts: object) -> None:
        self._served = {name: served for part in parts for name, served in commands_of(part).items()}

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run a command that is no async one."""
        served = self._served[name]
        assert served.blocking
        try:
            return _answer(served, served.prepare(_wire(arguments))())
        except (CommandError, InvalidParameter) as error:
            return _failure(error)

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run any command; in a thread where it may block."""
        served = self._served[name]
        try:
            prepared = served.prepare(_wire(arguments))
            result = await (asyncio.to_thread(prepared) if served.blocking else prepared())
            return _answer(served, result)
        except (CommandError, InvalidParameter) as error:
            return _failure(error)

    async def get(self, name: str, **arguments: Any) -> Any:
        """The result of a command that must not fail."""
        answer = await self.call(name, **arguments)
        assert "return" in answer, answer
        return answer["return"]

    async def refused(self, name: str, **arguments: Any) -> str:
        """The text of a command that must fail."""
        answer = await self.call(name, **arguments)
        assert "error" in answer, answer
        return str(answer["error"]["desc"])


async def end_all(part: Processes) -> None:
    """Kill what a test left running, and wait until all is reaped."""
    for process in [*part._known.values(), *part._forgotten]:
        with suppress(CommandError):
            process.child.send(signal.SIGKILL)
        while process.child.running:
            await anyio.lowlevel.checkpoint()
    part.close_all()


def _wire(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in arguments.items()}


def _answer(served: Served, value: Any) -> dict[str, Any]:
    plain = msgspec.to_builtins({} if value is None else value)
    validate(served.description.returns, plain, "return")
    return {"return": plain}


def _failure(error: Exception) -> dict[str, Any]:
    return {"error": {"class": "GenericError", "desc": str(error)}}
