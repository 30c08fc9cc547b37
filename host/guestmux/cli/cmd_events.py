"""`guestmux events`."""

from __future__ import annotations

import anyio
import click
from msgspec import to_builtins

from guestmux.cli import exits
from guestmux.cli.completing import complete_events
from guestmux.cli.options import SECONDS, as_json, connecting, talk
from guestmux.cli.output import clean, say, say_json, warn
from guestmux.cli.usage import examples
from guestmux.event import Beacon, Disconnected, Event, Gap, Item, Reconnected
from guestmux.guest import Guest
from guestmux.stream import EventStream
from guestmux_protocol.commands import Position
from guestmux_protocol.json_text import encode

_STREAM_MEMBERS = frozenset({"epoch", "seq", "source"})
"""Members that every event has, left out where people read."""


@click.command(
    epilog=examples(
        "guestmux events",
        "guestmux events SESSION_LOGIN --count 1 --timeout 60 && echo somebody is there",
        "guestmux events 'SESSION_*' 'AGENT_*' --json | while read -r line; do …; done",
    )
)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_events)
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Stop after this time.")
@click.option("--timestamp", is_flag=True, help="Begin each line with the guest's time, in UTC.")
@click.option("--since", metavar="EPOCH:SEQ", help="Begin after this event, as an earlier --json showed it.")
@click.option("--snapshot", is_flag=True, help="Show the sessions first, as the events will change them.")
@as_json
@connecting
def events(
    patterns: tuple[str, ...],
    count: int | None,
    timeout: float | None,
    timestamp: bool,
    since: str | None,
    snapshot: bool,
    as_json: bool,
) -> None:
    """Show events as they happen, those that match a PATTERN ('SESSION_*'; all by default).

    It runs until ^C, or until --count or --timeout ends it, and survives the loss of the connection: what was missed
    meanwhile comes from the guest's journal. What cannot be told is told as lost, on stderr or, with --json, as a
    line whose member "stream" says what happened (gap, disconnected, reconnected, snapshot).

    The exit status is that of `virsh event`: 0 when what was waited for came (--count events, or at least one), 1
    when the time passed without it.
    """
    show = _show_json if as_json else _show_timestamp if timestamp else _show
    position = _position(since)

    async def work(guest: Guest) -> int:
        seen = 0
        with anyio.move_on_after(timeout):
            async with guest.events(*patterns, since=position) as stream:
                if snapshot:
                    _show_snapshot(stream, as_json)
                async for item in stream:
                    show(item)
                    seen += isinstance(item, Event)
                    if seen == count:
                        break
        if not as_json:
            click.echo(f"events received: {seen}", err=True)
        return exits.OK if seen >= (count or 1) else exits.FAILED

    talk(work, reconnect=True)


def _position(text: str | None) -> Position | None:
    if text is None:
        return None
    epoch, _, seq = text.rpartition(":")
    if not epoch or not seq.isdecimal():
        raise click.BadParameter("the form is EPOCH:SEQ, as in an event's data", param_hint="--since")
    return Position(epoch=epoch, seq=int(seq))


def _show(item: Item) -> None:
    if isinstance(item, Event):
        say(_line(item))
    else:
        warn(_notice(item))


def _show_timestamp(item: Item) -> None:
    if isinstance(item, Event):
        time = item.time
        say(f"{time.isoformat(timespec='milliseconds') if time else '-'} {_line(item)}")
    else:
        warn(_notice(item))


def _line(event: Event) -> str:
    members = [f"{name}={_value(value)}" for name, value in event.data.items() if name not in _STREAM_MEMBERS]
    claimed = ["(claimed)"] if event.source != "verified" else []
    return clean(" ".join([event.name, *members, *claimed]))


def _value(value: object) -> str:
    if isinstance(value, str) and value and " " not in value and "=" not in value:
        return value
    return encode(value).decode("ascii")


def _notice(item: Gap | Beacon | Disconnected | Reconnected) -> str:
    match item:
        case Gap():
            which = f"events {item.first} to {item.last}" if item.last else "some events"
            names = f" ({' '.join(item.names)})" if item.names else ""
            return f"{which}{names} are lost: {item.reason}"
        case Beacon():
            frozen = ", file systems are frozen" if item.frozen else ""
            return f"beacon: at event {item.seq}, journal {item.journal}, {item.agents} agents{frozen}"
        case Disconnected():
            return f"disconnected: {item.reason}"
        case Reconnected():
            return f"reconnected{'' if item.resumed else '; the guest refuses to go on where it was'}"


def _show_json(item: Item) -> None:
    match item:
        case Event():
            timestamp = {"seconds": item.seconds, "microseconds": item.microseconds}
            say_json({"event": item.name, "data": item.data, "timestamp": timestamp})
        case Gap():
            names = {"names": item.names} if item.names else {}
            say_json({"stream": "gap", "from": item.first, "to": item.last, "reason": item.reason, **names})
        case Beacon():
            say_json({"stream": "beacon", **to_builtins(item)})
        case Disconnected():
            say_json({"stream": "disconnected", "reason": item.reason})
        case Reconnected():
            position = {"epoch": item.epoch, "seq": item.seq, "resumed": item.resumed}
            say_json({"stream": "reconnected", **position, "sessions": item.snapshot.sessions})


def _show_snapshot(stream: EventStream, as_json: bool) -> None:
    sessions = stream.snapshot.sessions
    if as_json:
        say_json({"stream": "snapshot", "sessions": sessions})
        return
    for session in sessions:
        state = f"{session.state}{' locked' if session.locked else ''}"
        say(clean(f"session={session.session} user={session.user} {state}"))
