"""Writes docs/reference from the typed commands and events: `python docs/build_reference.py [--check]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from guestmux_protocol.commands import NATIVE, Routing
from guestmux_protocol.events import EVENTS
from guestmux_protocol.guest import (
    GUEST,
    accounts,
    clock,
    connect,
    facts,
    file_changes,
    file_facts,
    files,
    freeze,
    hardware,
    network,
    power,
    processes,
    storage,
    transfer,
)
from guestmux_protocol.limits import DEFAULT_LIMITS
from guestmux_protocol.messages import Request
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from guestmux_protocol.reference import commands_page, events_page, members_table
from guestmux_protocol.reference_dialects import limits_table, state_diagram, transcript
from guestmux_protocol.schema import Object
from guestmux_protocol.schema_python import from_python
from guestmux_protocol.session_commands import SESSION

DIRECTORY = Path(__file__).parent / "reference"

COMMANDS = """\
The commands that eventd answers itself, at once and from memory. Those that qemu-ga has besides are in
[guest-commands.md](guest-commands.md), those of a desktop's session in
[session-commands.md](session-commands.md); `guest-query-schema` describes at run time every command that a port
takes, those that agents declared included.

Any command may fail with the class `GenericError`; wrong arguments do so in QEMU's words, as
`Parameter 'id' is missing`. `CommandNotFound` is the class for a command that the port does not have.
How requests and replies look on the wire is told in [dialects.md](dialects.md)."""

SESSION_COMMANDS = """\
The commands of the stock session agent, which runs as the user in the user's session. An agent registers those that its
platform can serve; those that begin with `agent-` are the system agent's as well. eventd itself takes these
arguments out of any command that an agent serves:

{routing}

Without `session` a command goes to the system agent. A call fails with the class `CommandNotFound` where no agent, or
none in that session, has the command, and with `GenericError` where the session is not there or has no agent, the
deadline passes, the agent leaves, or the command itself fails; the words say which."""

GUEST_COMMANDS = """\
The commands that qemu-ga has besides those of [eventd](commands.md), with its names, types and error texts: a host need
not know which of the two answers. Our own are `guest-exec-live` and its kin, for a process that is watched while it
runs; those from `guest-file-stat` to `guest-file-set-attributes`, for whole files and directories; and the streams
`guest-file-download`, `guest-file-upload`, `guest-exec-attach` and `guest-connect`, which carry bytes as they are and
are there on the mux dialect alone.

They take `session`, `wait` and `timeout` as well, as told for the
[session agent](session-commands.md). With `session` a command runs as that user, in that session: file, exec, name,
network and disk commands do. Without, it runs in the system agent, as root, which has all of them; which of those it
may run is for the guest's administrator to say, and `guest-info` tells."""

THEMES = (
    files,
    file_facts,
    file_changes,
    transfer,
    processes,
    connect,
    facts,
    network,
    storage,
    hardware,
    power,
    freeze,
    clock,
    accounts,
)
"""The modules that commands are described in, as the page is to have them."""

EVENTS_INTRODUCTION = """\
Sent to a host that asked for them with [`guest-event-subscribe`](commands.md#guest-event-subscribe):

```json
{"event": "NAME", "data": {}, "timestamp": {"seconds": 1700000000, "microseconds": 0}}
```

Besides what is listed, `data` always has `epoch` (the run of eventd), `seq` (the event's number), and `source`:
`verified` where eventd saw it itself, from logind or the kernel, `claimed` where an agent says so. With `late` it was
kept back by a `rate`; that of a named subscription has the name in `subscription`.

How events are numbered, kept and lost is in [events.md](../events.md). The line *Journal* says what is kept of each
kind for a host that comes later: every one is on disk, the others are in memory."""

QGA_REQUESTS = [
    b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 4711}}\n',
    b'{"execute": "guest-ping"}\n',
    b'{"execute": "guest-ping", "id": "a"}{"execute": "guest-sync", "arguments": {"id": 1}, "id": "b"}\n',
    b'{"exec-oob": "guest-ping", "id": 3}\n',
    b'{"execute": 5, "id": 4}\n',
    b'{"execute": "guest-ping", "arguments": \xff{"execute": "guest-ping"}\n',
]

QMP_REQUESTS = [
    b'{"execute": "guest-ping", "id": 1}\n',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}, "id": 2}\n',
    b'{"execute": "guest-ping", "id": 3}\n',
    b'{"exec-oob": "guest-ping", "id": 4}\n',
    b'{"execute": "qmp_capabilities", "id": 5}\n',
]


def _made_from(module: str) -> str:
    source = f"protocol/guestmux_protocol/{module}.py"
    return f"<!-- Made by docs/build_reference.py from {source}. Change that, not this page. -->\n\n"


def _commands(_present: str) -> str:
    return commands_page("Commands of eventd", _made_from("commands") + COMMANDS, NATIVE.values())


def _session_commands(_present: str) -> str:
    routing = from_python(Routing)
    assert isinstance(routing, Object)
    introduction = SESSION_COMMANDS.format(routing=members_table("argument", routing.members))
    made = _made_from("session_commands")
    return commands_page("Commands of the session agent", made + introduction, SESSION.values())


def _guest_commands(_present: str) -> str:
    order = {theme.__name__: number for number, theme in enumerate(THEMES)}
    commands = sorted(GUEST.values(), key=lambda command: order[command.python.__module__])
    return commands_page("Commands of the guest agent", _made_from("guest/*") + GUEST_COMMANDS, commands)


def _run(request: Request) -> object:
    """The result of a ping or a sync."""
    return request.arguments.get("id", {})


def _events(_present: str) -> str:
    return events_page("Events", _made_from("events") + EVENTS_INTRODUCTION, EVENTS.values())


def _dialects(present: str) -> str:
    """The page is written by hand; only what stands between a pair of marks is made."""
    blocks = {
        "limits": limits_table(DEFAULT_LIMITS),
        "qga-exchange": transcript(QgaDialect(), QGA_REQUESTS, _run),
        "qmp-states": state_diagram(),
        "qmp-exchange": transcript(QmpDialect(), QMP_REQUESTS, _run),
    }
    for name, block in blocks.items():
        begin, end = f"<!-- made: {name} -->\n", f"\n<!-- end: {name} -->"
        before, found, rest = present.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise SystemExit(f"dialects.md lacks the marks of its part '{name}'")
        present = before + begin + block + end + after
    return present


PAGES: dict[str, Callable[[str], str]] = {
    "commands.md": _commands,
    "guest-commands.md": _guest_commands,
    "events.md": _events,
    "session-commands.md": _session_commands,
    "dialects.md": _dialects,
}


def main(arguments: list[str], directory: Path = DIRECTORY) -> int:
    """Write the pages that changed, or with --check name those that are stale; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when a page is stale"
    )
    check = parser.parse_args(arguments).check
    stale = False
    for name, build in PAGES.items():
        path = directory / name
        present = path.read_text() if path.exists() else ""
        wanted = build(present)
        if wanted == present:
            continue
        stale = True
        if check:
            print(f"{path} is stale: run python docs/build_reference.py", file=sys.stderr)
        else:
            path.write_text(wanted)
            print(f"wrote {path}")
    return int(stale and check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
