"""The generated parts of the page on the dialects: made from their tables, and by letting them speak."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from guestmux_protocol.incoming import Answered
from guestmux_protocol.limits import Limits
from guestmux_protocol.messages import COMMAND_NOT_FOUND, MAX_ID_NESTING, Request
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import TRANSITIONS, QmpDialect, State
from guestmux_protocol.reference import table

_MIB = 1 << 20


def state_diagram() -> str:
    """The states of the qmp dialect as a Mermaid diagram, with a table of the refusals' words."""
    arrows = ["    [*] --> NEGOTIATING : the host connects, the guest greets"]
    refusals = []
    for state, row in TRANSITIONS.items():
        for command, outcome in row.items():
            if isinstance(outcome, State):
                arrows.append(f"    {state.name} --> {outcome.name} : {command}")
            else:
                arrows.append(f"    {state.name} --> {state.name} : {command}, refused")
                refusals.append((state.name, command, f"`{COMMAND_NOT_FOUND}`", outcome))
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```"])
    return f"{diagram}\n\n{table(('state', 'command', 'class', 'words'), refusals)}"


def limits_table(limits: Limits) -> str:
    """The bounds on one value from the host."""
    rows = [
        ("length", f"{limits.message_bytes // _MIB} MiB", "JSON token size limit exceeded"),
        ("braces and brackets open at a time", f"{limits.nesting:,}", "JSON nesting depth limit exceeded"),
        ("tokens", f"{limits.tokens:,}", "JSON token count limit exceeded"),
        (
            "braces and brackets open at a time in an `id`",
            f"{MAX_ID_NESTING}",
            f"QMP input member 'id' nests deeper than {MAX_ID_NESTING}",
        ),
    ]
    return table(("of one value", "limit", "words over it"), rows)


def transcript(
    dialect: QgaDialect | QmpDialect, requests: Iterable[bytes], run: Callable[[Request], Any]
) -> str:
    """What goes over the wire, as the dialect itself has it.

    Args:
        dialect: one that has not been used yet.
        requests: what the host sends, one write each.
        run: gives a command's result.
    """
    greeting = dialect.opened()
    lines = [f"guest  {_shown(greeting)}"] if greeting else []
    for request in requests:
        lines.append(f"host   {_shown(request)}")
        for item in dialect.receive(request):
            data = item.data if isinstance(item, Answered) else dialect.reply(item, run(item))
            lines.append(f"guest  {_shown(data)}")
    return "\n".join(["```text", *lines, "```"])


def _shown(data: bytes) -> str:
    return data.decode("latin-1").rstrip("\n").replace("\xff", "<0xFF>")
