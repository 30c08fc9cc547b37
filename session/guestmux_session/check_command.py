"""`guestmux-session check-agent`: tells an agent's author whether it does what agents have to."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import msgspec

from guestmux_protocol.errors import GuestmuxError
from guestmux_session.agent import SYSTEM_BUS
from guestmux_session.check.examination import examine
from guestmux_session.check.findings import Finding, Status, skipped
from guestmux_session.check.installed import installed_command
from guestmux_session.check.live import live_check
from guestmux_session.errors import AgentError
from guestmux_transport.bus_address import system_bus_address
from guestmux_transport.logs import configure_logging

DESCRIPTION = """\
Checks whether an agent does what eventd and hosts expect of it, and says what to do where it does not.

With a command behind `--` it starts the agent on a bus of its own, with an eventd that is played in the
system bus's place, and looks at everything: what it declares, how it answers calls of commands that do
not exist, odd and large arguments, and callers that are not eventd; whether it waits when it is released,
registers again when eventd is replaced, and ends at SIGTERM. No host, no virtual machine and no root is
needed, and an agent of the same program that is registered meanwhile does not notice.

Without a command it asks eventd whether the agent is registered, and in which session, and then starts the
one that is installed by that name: what guestmux-agent@NAME.service runs, what a host has pushed, or the
stock agent. --live asks eventd alone, and starts nothing.

None of the agent's commands is run but those that --call names.
"""

EPILOG = """\
examples:
  guestmux-session check-agent org.example.clock
  guestmux-session check-agent org.example.clock --live
  guestmux-session check-agent org.example.clock -- python3 clock.py
  guestmux-session check-agent org.example.clock --call '__org.example_time={"zone": "UTC"}' -- python3 clock.py

Exit status: 0 nothing failed; 1 something did; 2 for a wrong option; 3 nothing could be checked.
"""

CANNOT = 3
"""The exit status where nothing could be checked."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of what stands between `guestmux-session check-agent` and `--`."""
    parser = argparse.ArgumentParser(
        prog="guestmux-session check-agent",
        usage="guestmux-session check-agent [options] NAME [-- COMMAND [ARGUMENT...]]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="what the agent registers as, such as org.example.clock")
    parser.add_argument(
        "--call",
        action="append",
        default=[],
        type=_chosen,
        metavar="NAME[=JSON]",
        help="run this command of its, which does no harm, with these arguments; may be given several times",
    )
    parser.add_argument("--live", action="store_true", help="only ask eventd whether it is registered")
    parser.add_argument("--json", action="store_true", help="a JSON object a line, for programs")
    parser.add_argument(
        "--bus",
        default=SYSTEM_BUS,
        metavar="ADDRESS",
        help='without a command: the bus that eventd is on (default: "system")',
    )
    return parser


def check_main(arguments: list[str]) -> int:
    """Check an agent; returns the exit status."""
    own, given = _split(arguments)
    parser = build_parser()
    options = parser.parse_args(own)
    if options.live and (given or options.call):
        parser.error("--live starts no agent: it goes with neither --call nor a command")
    command = given or ([] if options.live else installed_command(options.name))
    if options.call and not command:
        parser.error(f"--call needs what starts the agent, behind --: no '{options.name}' is installed here")
    options.asks = not given
    configure_logging("error")
    report = _Report(options.name, command, as_json=options.json)
    reasons: list[str] = []
    unread = False
    try:
        anyio.run(_check, options, command, report.tell)
    except* GuestmuxError as errors:
        reasons += map(str, _leaves(errors))
    except* KeyboardInterrupt:
        reasons.append("interrupted")
    except* BrokenPipeError:
        # Who reads has seen enough; Python would complain once more when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        unread = True
    for reason in reasons:
        print(f"guestmux-session: {reason}", file=sys.stderr)
    return CANNOT if reasons or unread else report.end()


async def _check(options: argparse.Namespace, command: list[str], tell: Callable[[Finding], None]) -> None:
    if options.asks:
        await _ask_eventd(options, command, tell)
    if command:
        await examine(options.name, command, options.call, tell)
    elif not options.live:
        text = f"no agent '{options.name}' is installed here that could be started"
        todo = f"say what starts it: guestmux-session check-agent {options.name} -- COMMAND"
        tell(skipped("everything else", text, todo))


async def _ask_eventd(
    options: argparse.Namespace, command: list[str], tell: Callable[[Finding], None]
) -> None:
    address = system_bus_address() if options.bus == SYSTEM_BUS else options.bus
    try:
        tell(await live_check(options.name, address))
    except AgentError as error:
        if not command:
            raise
        tell(skipped("live", f"eventd cannot be asked whether it is registered: {error}"))


class _Report:
    """Says what was found, as soon as it is."""

    def __init__(self, name: str, command: list[str], *, as_json: bool) -> None:
        self._title = f"{name}: {shlex.join(command)}" if command else name
        self._json = as_json
        self._counts: Counter[Status] = Counter()

    def tell(self, finding: Finding) -> None:
        """One finding."""
        if not self._counts and not self._json:
            print(f"{self._title}\n")
        self._counts[finding.status] += 1
        print(_json_line(finding) if self._json else _lines(finding), flush=True)

    def end(self) -> int:
        """All of them; gives the exit status."""
        failed = self._counts[Status.FAIL]
        if not self._json:
            counts = [f"{self._counts[status]} {word}" for status, word in _WORDS.items()]
            print(f"\n{', '.join(counts)}. {_NEXT[bool(failed)]}")
        return int(bool(failed))


_WORDS = {Status.PASS: "passed", Status.FAIL: "failed", Status.SKIP: "not looked at"}
_NEXT = {
    True: "Mend what failed, from the top: what is below may follow from it.",
    False: "The agent does what it has to, as far as was looked.",
}


def _lines(finding: Finding) -> str:
    text = f"{finding.status}  {finding.check:<18}  {_plain(finding.text)}"
    return f"{text}\n      {'':<18}  → {_plain(finding.todo)}" if finding.todo else text


def _json_line(finding: Finding) -> str:
    return msgspec.json.encode(finding).decode()


def _plain(text: str) -> str:
    """An agent's words must not steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _chosen(text: str) -> tuple[str, dict[str, Any]]:
    name, equals, given = text.partition("=")
    try:
        arguments = json.loads(given) if equals else {}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{given}' is no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise argparse.ArgumentTypeError(f"'{given}' is no JSON object")
    return name, arguments


def _leaves(errors: BaseExceptionGroup[GuestmuxError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
