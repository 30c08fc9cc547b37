"""The record of what hosts were refused, and of what they did with privilege or in a user's name; never of contents."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.call_log import CallLog
from guestmux_eventd.caller import Caller
from guestmux_eventd.identity import BACKEND, SYSTEM
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.agent_commands import AGENTS
from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.handles import HANDLES

Weight = Literal["call", "use", "refusal"]
"""Each has its own bound: reads of one file by the thousand must not hide that another was opened, or a refusal."""

RATES: dict[Weight, tuple[float, float]] = {
    "call": (10.0, 500.0),
    "use": (1.0, 50.0),
    "refusal": (2.0, 100.0),
}
"""Entries a second, and at once. In all some 5 kB/s of the journal, and less than its own bound (10,000 in 30 s)."""

STARTING = frozenset({"session-launch", "session-open-uri"})
"""They start applications."""

RECORDED = (
    AGENTS.keys()
    | STARTING
    | frozenset(name for name in GUEST if name.startswith(("guest-file-", "guest-exec", "guest-connect")))
)
"""What is put on record in a user's session: what hosts do with the user's files, programs and connections, and the
agents that they push. Who signed one is in the log of the agent that installed it: eventd reads no arguments."""

_LOOKING = frozenset(f"guest-file-{verb}" for verb in ("stat", "list", "extents", "checksum"))

logger = logging.getLogger("guestmux.audit")
# Whatever else is logged or not: these entries are.
logger.setLevel(logging.INFO)


class Audit:
    """Writes the record, bounded in rate; what is left out is counted and told by command.

    Args:
        clock: a monotonic clock, in seconds.
        calls: counts what is called in sessions, for their users to see.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, calls: CallLog | None = None) -> None:
        self.clock = clock
        self._calls = calls
        self._buckets = {weight: TokenBucket(rate, burst, clock) for weight, (rate, burst) in RATES.items()}
        self._left_out: dict[Weight, Counter[str]] = {weight: Counter() for weight in RATES}

    def refused(self, caller: Caller, command: str, session: str, reason: str) -> None:
        """A command was refused by policy, or while frozen."""
        if self._admit("refusal", command):
            fields = _fields(caller.port, command, session, "", "refused")
            logger.warning(
                "%s: %s refused in %s: %s", caller.port, command, session or "eventd", reason, extra=fields
            )

    def ran(self, caller: Caller, agent: Agent, command: str, outcome: str, seconds: float) -> None:
        """An agent ran a command.

        Args:
            caller: the host.
            agent: which.
            command: what.
            outcome: `done`, `failed` or `cancelled`.
            seconds: how long it took.
        """
        if self._calls is not None and agent.session not in (SYSTEM, BACKEND):
            self._calls.add(agent.identity.uid, agent.session, command, outcome, caller.port)
        if not is_privileged(agent, command):
            return
        if not self._admit("use" if _is_use(command) else "call", command):
            return
        fields = {
            **_fields(caller.port, command, agent.session, agent.name, outcome),
            "guestmux_duration": f"{seconds:.6f}",
            "guestmux_uid": agent.identity.uid,
        }
        text = "%s: %s in %s by '%s': %s in %.3f s"
        logger.info(text, caller.port, command, agent.session, agent.name, outcome, seconds, extra=fields)

    def tell_left_out(self) -> None:
        """Say now what was left out so far."""
        for weight in RATES:
            self._tell_left_out(weight)

    def _admit(self, weight: Weight, command: str) -> bool:
        if not self._buckets[weight].take():
            self._left_out[weight][command] += 1
            return False
        self._tell_left_out(weight)
        return True

    def _tell_left_out(self, weight: Weight) -> None:
        counts, self._left_out[weight] = self._left_out[weight], Counter()
        if counts:
            commands = ", ".join(f"{count} {command}" for command, count in counts.most_common(10))
            fields = {"guestmux_outcome": "left-out", "guestmux_count": counts.total()}
            logger.warning("left out, too many at a time: %s", commands, extra=fields)


def is_privileged(agent: Agent, command: str) -> bool:
    """Whether a call is put on record: all of the system agent's, files and programs in a session."""
    return agent.session in (SYSTEM, BACKEND) or command in RECORDED


def _is_use(command: str) -> bool:
    """Whether it is one of many that belong to a file or process which is on record, or only looks at files."""
    use = HANDLES.get(command)
    return command in _LOOKING or bool(use and use.takes)


def _fields(port: str, command: str, session: str, agent: str, outcome: str) -> dict[str, str | int]:
    return {
        "guestmux_port": port,
        "guestmux_command": command,
        "guestmux_session": session,
        "guestmux_agent": agent,
        "guestmux_outcome": outcome,
    }
