"""`guestmux-session log`: shows a user what left the guest about them."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import anyio

from guestmux_session.agent import SYSTEM_BUS
from guestmux_session.errors import BadAnswer
from guestmux_session.log_client import Call, LogClient, SentEvent
from guestmux_session.log_lines import call_json, call_line, event_json, event_line
from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_address import system_bus_address
from guestmux_transport.errors import BusError, CallError

FOLLOW_SECONDS = 1.0
"""Seconds between two questions of `--follow`. eventd tells nobody by itself: then each event would cost something."""

DESCRIPTION = """\
Shows what left this guest about you: each event about one of your sessions that a host was sent, when, to
which port, and its data as it left; and which commands hosts called in your sessions. Root is shown
everybody's, and what is about nobody.

eventd has this in memory: as far back as the events are that it keeps there, and since its own start.
"""

EPILOG = """\
examples:
  guestmux-session log --mine --since 2h
  guestmux-session log --mine --json | jq .data
  guestmux-session log --follow

Exit status: 0; 1 where eventd cannot be asked, 2 for a wrong option.
"""

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def build_parser() -> argparse.ArgumentParser:
    """The parser of what follows `guestmux-session log`."""
    parser = argparse.ArgumentParser(
        prog="guestmux-session log",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--mine", action="store_true", help="what is about you; so it is for all but root anyway"
    )
    parser.add_argument("--follow", action="store_true", help="go on as more is sent")
    parser.add_argument("--json", action="store_true", help="a JSON object a line, for programs")
    parser.add_argument(
        "--since",
        type=_moment,
        metavar="TIME",
        help='only from then on: "2h" ago, "09:30", "2026-11-23 09:30"',
    )
    parser.add_argument(
        "--bus", default=SYSTEM_BUS, metavar="ADDRESS", help='the bus that eventd is on (default: "system")'
    )
    return parser


def log_main(arguments: list[str]) -> int:
    """Show the record; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        anyio.run(_show, options)
    except (BusError, BadAnswer) as error:
        print(f"guestmux-session: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Who reads has seen enough; Python would complain once more when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class _Shown:
    """What was shown already, and what is to be."""

    def __init__(self, options: argparse.Namespace, uid: int) -> None:
        self._since: float = options.since.timestamp() if options.since else 0.0
        self._uid = uid if options.mine or uid else None
        self._event = event_json if options.json else event_line
        self._call = call_json if options.json else call_line
        self._told: dict[tuple[str, ...], int] = {}
        self._calls: list[Call] = []

    def take(self, calls: list[Call]) -> None:
        """Take in what was called; it is shown where it stands in time."""
        self._calls = sorted(filter(self._is_new, calls), key=lambda call: call.last)

    def lines(self, event: SentEvent) -> Iterator[str]:
        """The calls up to an event, and the event."""
        yield from self.rest(event.time / 1e6)
        if event.time / 1e6 >= self._since and self._uid in (None, event.uid):
            yield self._event(event)

    def rest(self, until: float = float("inf")) -> Iterator[str]:
        """The calls up to a time."""
        while self._calls and self._calls[0].last <= until:
            yield self._call(self._calls.pop(0))

    def _is_new(self, call: Call) -> bool:
        kind = (call.session, call.command, call.outcome, call.port)
        if call.last < self._since or self._uid not in (None, call.uid) or self._told.get(kind) == call.count:
            return False
        self._told[kind] = call.count
        return True


async def _show(options: argparse.Namespace) -> None:
    address = system_bus_address() if options.bus == SYSTEM_BUS else options.bus
    async with connect_bus(address) as bus:
        client, shown = LogClient(bus), _Shown(options, os.getuid())
        await _show_new(client, shown)
        while options.follow:
            await anyio.sleep(FOLLOW_SECONDS)
            # An eventd that is away for a moment comes back; the bus does not.
            with suppress(CallError):
                await _show_new(client, shown)
        if not options.json:
            _say_what_is_missing(client)


async def _show_new(client: LogClient, shown: _Shown) -> None:
    shown.take(await client.calls())
    async for event in client.events():
        for line in shown.lines(event):
            print(line)
    for line in shown.rest():
        print(line)
    sys.stdout.flush()


def _say_what_is_missing(client: LogClient) -> None:
    """On the other output: it is not part of the record."""
    page = client.page
    if page is None:
        return
    if page.first > 1:
        print(f"eventd has no event before number {page.first} in memory.", file=sys.stderr)
    if page.unknown >= page.first:
        text = f"Of events up to number {page.unknown} it may not know all hosts any more."
        print(text, file=sys.stderr)


def _moment(text: str) -> datetime:
    now = datetime.now().astimezone()
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if ":" in text and "-" not in text:
            text = f"{now.date()} {text}"
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no time such as 2h, 09:30, 2026-11-23 09:30"
        ) from error
