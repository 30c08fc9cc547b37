"""The router's way to verbs in this very process: no bus in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.identity import SYSTEM, Identity
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.schema import InvalidParameter
from guestmux_protocol.version import VERSION
from guestmux_session.calls import CallTable, Work
from guestmux_session.declarations import Served, commands_of
from guestmux_session.errors import CommandError

NAME = "guestmux-qga"


class LocalLinks:
    """Runs commands: those that may block in a thread, the others on the loop.

    Args:
        verbs: the objects whose classes declare the commands. Streams are left out: this wire carries none.
    """

    def __init__(self, verbs: Iterable[object]) -> None:
        table: dict[str, Served] = {}
        for owner in verbs:
            table.update(commands_of(owner))
        self.served = {name: served for name, served in table.items() if not served.description.stream}
        self._calls = CallTable()

    def __repr__(self) -> str:
        return f"<LocalLinks {len(self.served)} commands {self._calls!r}>"

    def agent(self, pid: int, uid: int) -> Agent:
        """The agent that the router finds them at."""
        return Agent(
            sender="",
            path="/",
            name=NAME,
            version=VERSION,
            session=SYSTEM,
            identity=Identity(uid, pid, NAME),
            bucket=TokenBucket(1, 1, lambda: 0.0),
            commands={name: served.description for name, served in self.served.items()},
        )

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """Run a command.

        Args:
            agent: ourselves.
            command: one of `served`.
            arguments: its arguments.
            port: the host's port.
            timeout: seconds until the call is given up. A thread goes on with it, as nothing can stop it.

        Raises:
            CommandFailure: the arguments do not fit; or it failed, or took too long.
        """
        del agent, port
        served = self.served[command]
        try:
            prepared = served.prepare(arguments)
            running = self._calls.begin(command, self._work(served, prepared), None)
            value = await self._calls.finish(running, timeout)
        except CommandError as error:
            raise CommandFailure(error.desc) from error
        except InvalidParameter as error:
            raise CommandFailure(str(error)) from error
        return msgspec.to_builtins({} if value is None and served.nothing else value, str_keys=True)

    def close(self) -> None:
        """Give up what is under way."""
        self._calls.close()

    def _work(self, served: Served, prepared: Callable[[], Any]) -> Work:
        async def work() -> Any:
            return await (self._calls.in_thread(prepared) if served.blocking else prepared())

        return work
