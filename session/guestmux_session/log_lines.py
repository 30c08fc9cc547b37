"""How the record of what left the guest is shown: a line each, for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from guestmux_protocol.printable import clean
from guestmux_session.log_client import Call, SentEvent

_PLACE = ("epoch", "seq")


def event_line(event: SentEvent) -> str:
    """An event for people: when, what, to whom, and all of its data but its place in the stream."""
    whither = []
    if event.sent:
        whither.append(f"to {_ports(event.sent)}")
    if event.waiting:
        whither.append(f"waits for {_ports(event.waiting)}")
    data = {name: value for name, value in _data(event).items() if name not in _PLACE}
    text = json.dumps(data, ensure_ascii=False)
    return clean(f"{_time(event.time / 1e6)}  {event.event}  {'; '.join(whither)}  {text}")


def call_line(call: Call) -> str:
    """Calls of one kind for people."""
    often = f", {call.count} times since {_time(call.first)}" if call.count > 1 else ""
    what = f"{call.command} was called in {call.session} by {call.port}: {call.outcome}{often}"
    return clean(f"{_time(call.last)}  {what}")


def event_json(event: SentEvent) -> str:
    """An event for programs; the data is what left, byte by byte but for spaces."""
    return json.dumps(
        {
            "event": event.event,
            "seq": event.seq,
            "time": event.time / 1e6,
            "data": _data(event),
            "sent": _pairs(event.sent),
            "waiting": _pairs(event.waiting),
        }
    )


def call_json(call: Call) -> str:
    """Calls of one kind for programs."""
    members = ("command", "session", "outcome", "port", "count", "first", "last")
    return json.dumps({name: getattr(call, name) for name in members})


def _data(event: SentEvent) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(event.data)
    return data


def _ports(ports: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{port} ({dialect})" for port, dialect in ports)


def _pairs(ports: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"port": port, "dialect": dialect} for port, dialect in ports]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
