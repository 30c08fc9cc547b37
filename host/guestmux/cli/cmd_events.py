"""`guestmux events`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import click

from guestmux.cli import exits
from guestmux.cli.completing import complete_events, complete_session_ids, complete_users
from guestmux.cli.cursors import default_cursor
from guestmux.cli.event_display import show, show_json, show_snapshot, show_timestamp
from guestmux.cli.options import SECONDS, as_json, connecting, talk
from guestmux.cli.output import warn
from guestmux.cli.usage import examples
from guestmux.event import Beacon, Event, Item
from guestmux.guest import Guest
from guestmux.stream import EventStream
from guestmux_protocol.commands import MAX_BEACON, MIN_BEACON, Position

LAST, NOW = "last", "now"


def read_since(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> Position | str | None:
    """`last`, `now` or `EPOCH:SEQ`."""
    if text is None or text in (LAST, NOW):
        return text
    epoch, _, seq = text.rpartition(":")
    if not epoch or not seq.isdecimal():
        raise click.BadParameter("it is 'last', 'now', or EPOCH:SEQ as in the data of an event")
    return Position(epoch=epoch, seq=int(seq))


def read_rates(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, float]:
    """`NAME=N`, several times."""
    rates = {}
    for text in texts:
        name, _, rate = text.rpartition("=")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise click.BadParameter(f"'{text}': the form is NAME=EVENTS_A_SECOND, as APP_*=2") from None
    return rates


def read_sessions(
    _context: click.Context, _parameter: click.Parameter, ids: tuple[str, ...]
) -> tuple[str, ...]:
    """Logind's ids; an event says no more of its session."""
    for session in ids:
        if session == "active" or ":" in session:
            raise click.BadParameter(f"'{session}': it is an id as c2; --user takes the events of a user")
    return ids


@dataclass
class Asked:
    """What the options say.

    Attributes:
        patterns: globs over names.
        since: where to begin.
        cursor: the file of the position.
        filters: further arguments of `Guest.events`.
        beacon: seconds between the beacons that are shown.
        follow: whether to go on when all that there is was shown.
        count: events after which it ends.
    """

    patterns: tuple[str, ...]
    since: Position | str | None
    cursor: Path | None
    filters: dict[str, Any]
    beacon: float | None
    follow: bool
    count: int | None

    def file(self, guest: Guest) -> Path | None:
        """Where the position is kept, if it is."""
        if self.cursor is not None or self.since != LAST:
            return self.cursor
        filters = (self.filters.get(name, ()) for name in ("sessions", "users"))
        return default_cursor(guest.address, self.patterns or ("*",), *filters)

    def stream(self, guest: Guest, file: Path | None) -> EventStream:
        """The stream that it is."""
        # A beacon tells when everything was sent.
        beacon = self.beacon if self.follow else MIN_BEACON
        since = self.since if isinstance(self.since, Position) else None
        return guest.events(*self.patterns, since=since, durable=file, beacon=beacon, **self.filters)

    def is_shown(self, item: Item) -> bool:
        """Whether it was asked for."""
        return self.beacon is not None or not isinstance(item, Beacon)

    def is_end(self, item: Item, stream: EventStream) -> bool:
        """Whether nothing follows that there was in the beginning."""
        return not self.follow and isinstance(item, Beacon) and item.seq >= stream.latest


@click.command(
    epilog=examples(
        "guestmux events",
        "guestmux events SESSION_LOGIN --count 1 --timeout 60 && echo somebody is there",
        "guestmux events --since last --no-follow        # what came since this was run before",
        "guestmux events 'SESSION_*' --cursor /var/lib/audit/vm1.cursor --json >> /var/log/vm1.json",
        "guestmux events --user alice --rate 'APP_*=1' --beacon 30",
    )
)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_events)
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Stop after this time.")
@click.option(
    "-f/-F",
    "--follow/--no-follow",
    default=True,
    help="Go on with what happens, the default; or end when everything was shown that there is.",
)
@click.option(
    "--since",
    callback=read_since,
    metavar="last|now|EPOCH:SEQ",
    help="Begin where the last run with these patterns and this guest was; now, the default; or after this event, as"
    " an earlier --json showed it.",
)
@click.option(
    "--cursor",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep how far it was in this file, and begin there when it exists; else where --since says. Default with"
    " '--since last': a file for the guest and the patterns in $XDG_STATE_HOME/guestmux.",
)
@click.option(
    "-s",
    "--session",
    "sessions",
    multiple=True,
    callback=read_sessions,
    metavar="ID",
    shell_complete=complete_session_ids,
    help="Of the events about a session only those about this one; may be given several times.",
)
@click.option(
    "-u",
    "--user",
    "users",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_users,
    help="Of the events about a user only those about this one; may be given several times.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    callback=read_rates,
    metavar="NAME=N",
    help="Show so many a second of the events that NAME matches, of each session; what comes sooner is left out but"
    " for the last, which has late=true. Not for events of which every one is kept.",
)
@click.option(
    "--beacon",
    type=click.FloatRange(MIN_BEACON, MAX_BEACON),
    metavar="SECONDS",
    help="Show every so many seconds that the guest is there, and how its journal stands.",
)
@click.option("--timestamp", is_flag=True, help="Begin each line with the guest's time, in UTC.")
@click.option("--snapshot", is_flag=True, help="Show the sessions first, as the events will change them.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Say on stderr where it begins, and in which file that is kept."
)
@as_json
@connecting
def events(
    patterns: tuple[str, ...],
    count: int | None,
    timeout: float | None,
    follow: bool,
    since: Position | str | None,
    cursor: Path | None,
    sessions: tuple[str, ...],
    users: tuple[str, ...],
    rates: dict[str, float],
    beacon: float | None,
    timestamp: bool,
    snapshot: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Show events as they happen, those that match a PATTERN ('SESSION_*'; all by default).

    It runs until ^C, or until --count, --timeout or --no-follow ends it, and survives the loss of the connection and
    restarts of the guest: what was missed meanwhile comes from the guest's journal. What cannot be told is told as
    lost, on stderr or, with --json, as a line whose member "stream" says what happened (gap, beacon, disconnected,
    reconnected, snapshot).

    With '--since last' or --cursor no event is missed between two runs, nor by a crash of this one: what was printed
    is noted four times a second and in the end, so that a run that is killed shows the last of it once more. Two
    runs cannot share a file at a time.

    The exit status is that of `virsh event`: 0 when what was waited for came (--count events, or at least one), 1
    when the time passed without it. With --no-follow it is 0 also when there was nothing, unless --count asks for it.
    """
    given = {"sessions": sessions, "users": users, "rate": rates}
    filters: dict[str, Any] = {name: value for name, value in given.items() if value}
    asked = Asked(patterns, since, cursor, filters, beacon, follow, count)
    display = show_json if as_json else show_timestamp if timestamp else show

    async def work(guest: Guest) -> int:
        seen, is_end = 0, False
        file = asked.file(guest)
        with anyio.move_on_after(timeout):
            async with asked.stream(guest, file) as stream:
                if verbose:
                    _say_where(stream, file)
                if snapshot:
                    show_snapshot(stream, as_json)
                async for item in stream:
                    if asked.is_shown(item):
                        display(item)
                    seen += isinstance(item, Event)
                    is_end = asked.is_end(item, stream)
                    if is_end or seen == count:
                        await stream.commit()
                        break
        if not as_json:
            click.echo(f"events received: {seen}", err=True)
        return exits.OK if seen >= (count or (0 if is_end else 1)) else exits.FAILED

    talk(work, reconnect=True)


def _say_where(stream: EventStream, file: Path | None) -> None:
    position = stream.position
    begin = f"begins after {position.epoch}:{position.seq}" if position else "begins"
    warn(f"{begin}; kept in {file}" if file else begin)
