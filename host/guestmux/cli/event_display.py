"""What `guestmux events` prints: for people, or a line of JSON each."""

from __future__ import annotations

from msgspec import to_builtins

from guestmux.cli.output import clean, say, say_json, warn
from guestmux.event import Beacon, Disconnected, Event, Gap, Item, Reconnected
from guestmux.stream import EventStream
from guestmux_protocol.json_text import encode

_STREAM_MEMBERS = frozenset({"epoch", "seq", "source"})
"""Members that every event has, left out where people read."""


def show(item: Item) -> None:
    """A line for people."""
    if isinstance(item, Event):
        say(_line(item))
    else:
        warn(_notice(item))


def show_timestamp(item: Item) -> None:
    """The same with the guest's time."""
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


def show_json(item: Item) -> None:
    """A line of JSON."""
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


def show_snapshot(stream: EventStream, as_json: bool) -> None:
    """The sessions as they were when the stream began."""
    sessions = stream.snapshot.sessions
    if as_json:
        say_json({"stream": "snapshot", "sessions": sessions})
        return
    for session in sessions:
        state = f"{session.state}{' locked' if session.locked else ''}"
        say(clean(f"session={session.session} user={session.user} {state}"))
