"""Arguments and results that are too large for a D-Bus message, passed as sealed memfds (docs/agents.md)."""

from __future__ import annotations

from typing import Any

import msgspec

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.json_size import rough_size
from guestmux_eventd.large_values import LargeValues, keep_text
from guestmux_eventd.refusal import CommandFailure
from guestmux_transport.errors import InvalidValue, TooLarge
from guestmux_transport.sealed_text import LARGE_BYTES, read_sealed, sealed_size, write_sealed
from guestmux_transport.values import Variant


def large_arguments(agent: Agent, arguments: dict[str, Any]) -> list[int]:
    """A memfd with the arguments, where they are large and the agent takes one; else none. The caller closes it.

    Raises:
        CommandFailure: they are too large, nest too deeply, or no Unicode.
    """
    if not agent.large or rough_size(arguments) <= LARGE_BYTES:
        return []
    try:
        return [write_sealed(msgspec.json.encode(arguments))]
    except (TooLarge, UnicodeEncodeError, RecursionError) as error:
        raise CommandFailure(f"the arguments cannot be passed on: {error}") from error


async def large_result(
    agent: Agent, untrusted_fd: Variant, fds: list[int], large: LargeValues, port: str
) -> Any:
    """A result that came as a memfd, once its turn has come.

    Args:
        agent: whose it is.
        untrusted_fd: its index in `fds`.
        fds: the descriptors that came with the answer.
        large: gives the turn.
        port: where the host is.

    Raises:
        CommandFailure: it is no sealed memfd, too large, or no JSON.
    """
    index = untrusted_fd.value if untrusted_fd.signature == "h" else -1
    if not 0 <= index < len(fds):
        raise CommandFailure(f"agent '{agent.name}' answered with a 'return-fd' that is no descriptor")
    try:
        sealed_size(fds[index])
        await large.admit(port)
        text = read_sealed(fds[index])
        # Not by QEMU's lenient rules: what is no JSON would be read anew by them, which takes minutes for so much.
        value = msgspec.json.decode(text)
    except (InvalidValue, TooLarge, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandFailure(f"agent '{agent.name}' answered with a bad 'return-fd': {error}") from error
    keep_text(value, text)
    return value
