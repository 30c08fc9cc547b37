"""A stand-in for eventd: the protocol package's own server ends behind a real unix socket, and a script."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from guestmux_protocol.commands import NATIVE
from guestmux_protocol.incoming import Answered
from guestmux_protocol.introspection import introspect
from guestmux_protocol.messages import Event, Request, encode_event
from guestmux_protocol.patterns import EventFilter
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from guestmux_protocol.session_commands import SESSION
from tests.support.standin_mux import StandInMux, StandInStream

DIALECTS: dict[str, Callable[[], QgaDialect | QmpDialect]] = {
    "qga": QgaDialect,
    "qmp": QmpDialect,
    "mux": QmpDialect,
}
UPGRADE = "guest-mux-upgrade"
SILENCE = object()
"""What a command returns that is never to be answered."""


class Refused(Exception):
    """A command's failure."""

    def __init__(self, desc: str, error_class: str = "GenericError") -> None:
        super().__init__(desc)
        self.error_class = error_class
        self.desc = desc


class StandInGuest:
    """One guest; a host at a time.

    Args:
        path: its socket.
        dialect: `qga`, `qmp`, or `mux`: `qmp` from which a host may go over.

    Attributes:
        commands: name -> a function of the arguments that returns the result.
        sessions: what guest-get-sessions and the snapshot tell.
        requests: all that came, by command.
        streams: what takes a stream, by command; it accepts or raises.
        opened: all streams that came, by command.
        mux: the connection once it speaks mux.
        can_mux: whether a host may go over.
        can_name: whether it knows more than the unnamed subscription.
        begins_runs: whether it begins a run where a host has seen more than happened; it refuses otherwise.
        journal: the events so far, numbered from 1.
        epoch: the run that goes on; earlier ones of the same journal are known.
        subscriptions: the arguments of each, by name.
        after_replay: events for the next subscription, behind those of the journal, and its name.
    """

    def __init__(self, path: Path, dialect: str) -> None:
        self.address = f"unix:{path}"
        self.path = path
        self.requests: dict[str, list[Request]] = defaultdict(list)
        self.sessions: list[dict[str, Any]] = []
        self.epoch = "epoch-1"
        self.journal: list[Event] = []
        self.streams: dict[str, Callable[[StandInStream], None]] = {}
        self.opened: dict[str, list[StandInStream]] = defaultdict(list)
        self.mux: StandInMux | None = None
        self.can_mux = dialect == "mux"
        self.can_name = True
        self.begins_runs = False
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.after_replay: list[tuple[Event, str]] = []
        self._epochs = {self.epoch}
        self._new_dialect = DIALECTS[dialect]
        self._dialect = self._new_dialect()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._came = anyio.Event()
        self.commands: dict[str, Callable[[dict[str, Any]], Any]] = {
            "guest-ping": lambda _: {},
            "guest-sync-delimited": self._sync,
            "guest-get-sessions": lambda _: self.sessions,
            "guest-get-users": lambda _: [{"user": "alice", "login-time": 1.5}],
            "guest-query-schema": lambda _: introspect([*NATIVE.values(), *SESSION.values()], []),
            "guest-event-subscribe": self._subscribe,
            "guest-event-unsubscribe": self._unsubscribe,
            "guest-event-ack": lambda _: {},
            UPGRADE: self._upgrade,
        }

    @property
    def subscribed(self) -> bool:
        return bool(self.subscriptions)

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        self.hang_up()
        self.path.unlink(missing_ok=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the host does makes it true."""
        while not condition():
            await self._came.wait()

    async def until_asked(self, command: str, times: int = 1) -> Request:
        await self.until(lambda: len(self.requests[command]) >= times)
        return self.requests[command][times - 1]

    def send(self, data: bytes) -> None:
        assert self._writer
        self._writer.write(data)

    def emit(self, name: str, **data: Any) -> int:
        """Put an event in the journal, and send it to a host that wants it."""
        seq = len(self.journal) + 1
        body = {"epoch": self.epoch, "seq": seq, "source": "verified", **data}
        event = Event(name, body, 1_700_000_000 + seq, 500_000)
        self.journal.append(event)
        for subscription, arguments in self.subscriptions.items():
            if name in EventFilter(arguments["events"]):
                self.send_event(event, subscription)
        return seq

    @staticmethod
    def event(name: str, data: dict[str, Any]) -> Event:
        """An event that is in no journal."""
        return Event(name, data, 0, 0)

    def send_event(self, event: Event, subscription: str = "") -> None:
        if subscription:
            data = {"subscription": subscription, **event.data}
            event = Event(event.name, data, event.seconds, event.microseconds)
        if self.mux is not None:
            self.mux.event(event)
        else:
            self.send(encode_event(event))

    def lose(
        self,
        first: int,
        last: int,
        reason: str,
        *,
        stands: int | None = None,
        subscription: str = "",
        **more: Any,
    ) -> None:
        data = {"epoch": self.epoch, "seq": last if stands is None else stands, "source": "verified"}
        lost = {**data, "from": first, "to": last, "reason": reason, **more}
        self.send_event(Event("EVENTS_LOST", lost, 0, 0), subscription)

    def restart_run(self) -> None:
        """What the host sees when eventd restarts: the journal goes on, in another run."""
        self._forget()
        self._begin_run()
        self.send(self._dialect.opened())

    def set_back(self, seq: int) -> None:
        """What the host does not see: memory as it was after an event; connection and subscriptions stay."""
        del self.journal[seq:]

    def restart(self, half_a_message: bytes = b"", *, new_epoch: bool = False) -> None:
        """What the host sees when the guest reboots behind QEMU: the connection stays, the guest begins anew."""
        self._forget()
        if new_epoch:
            self._begin_journal()
        self.send(half_a_message + self._dialect.opened())

    def restart_unseen(self) -> None:
        """What the host does not see: the guest began anew, and says nothing of it."""
        self._forget()
        self._begin_journal()

    def emit_withheld(self, name: str, **data: Any) -> int:
        """Put an event in the journal that is not on the wire yet, as when the host reads slowly."""
        subscriptions, self.subscriptions = self.subscriptions, {}
        seq = self.emit(name, **data)
        self.subscriptions = subscriptions
        return seq

    def hang_up(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    def _begin_run(self) -> None:
        self.epoch += "+"
        self._epochs.add(self.epoch)

    def _begin_journal(self) -> None:
        self.epoch, self.journal = self.epoch + "+", []
        self._epochs = {self.epoch}

    def _forget(self) -> None:
        self._dialect = self._new_dialect()
        self.subscriptions = {}
        self.mux = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._forget()
        self._writer = writer
        self.send(self._dialect.opened())
        # A host that leaves with something unread resets the connection.
        with suppress(ConnectionResetError, BrokenPipeError):
            await self._read(reader, writer)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self._take(data)
            self._came.set()
            self._came = anyio.Event()

    def _take(self, data: bytes) -> None:
        if self.mux is not None:
            if (rest := self.mux.receive(data)) is None:
                return
            self._forget()
            self.send(b"\xff" + self._dialect.opened())
            data = rest
        for incoming in self._dialect.receive(data):
            if isinstance(incoming, Answered):
                self.send(incoming.data)
            else:
                self._answer(incoming)

    def _answer(self, request: Request) -> None:
        self.requests[request.command].append(request)
        try:
            if request.command not in self.commands:
                raise Refused(f"The command {request.command} has not been found", "CommandNotFound")
            value = self.commands[request.command](request.arguments)
        except Refused as refused:
            return self.refuse(request, refused.error_class, refused.desc)
        if value is not SILENCE:
            self.reply(request, value)
        return None

    def _open(self, stream: StandInStream) -> None:
        self.opened[stream.request.command].append(stream)
        try:
            if stream.request.command not in self.streams:
                raise Refused(f"The command {stream.request.command} has not been found", "CommandNotFound")
            self.streams[stream.request.command](stream)
        except Refused as refused:
            self.refuse(stream.request, refused.error_class, refused.desc)

    def refuse(self, request: Request, error_class: str, desc: str) -> None:
        if self.mux is not None:
            self.mux.error(request.id, error_class, desc)
        else:
            self.send(self._dialect.error(request, error_class, desc))

    def reply(self, request: Request, value: Any) -> None:
        if self.mux is not None:
            self.mux.reply(request.id, value)
        else:
            self.send(self._dialect.reply(request, value))
        if request.command == "guest-event-subscribe":
            self._replay(request.arguments)
            while self.after_replay:
                self.send_event(*self.after_replay.pop())
        elif request.command == UPGRADE:
            self.mux = StandInMux(self.send, self._answer, self._open)

    def _sync(self, arguments: dict[str, Any]) -> Any:
        self.subscriptions = {}
        return arguments["id"]

    def _subscribe(self, arguments: dict[str, Any]) -> Any:
        if not self.can_name and (strange := [name for name in arguments if name not in ("events", "since")]):
            raise Refused(f"Parameter '{strange[0]}' is unexpected")
        since = arguments.get("since")
        if since and since["epoch"] in self._epochs and since["seq"] > len(self.journal):
            if not self.begins_runs:
                raise Refused("'since' is not in this journal")
            if since["epoch"] == self.epoch:
                self._begin_run()
        self.subscriptions[arguments.get("subscription", "")] = arguments
        return {"epoch": self.epoch, "seq": len(self.journal), "snapshot": {"sessions": self.sessions}}

    def _replay(self, arguments: dict[str, Any]) -> None:
        since, subscription = arguments.get("since"), arguments.get("subscription", "")
        if since is None:
            return
        if since["epoch"] not in self._epochs:
            self.lose(1, 0, "new-epoch", subscription=subscription)
            since = {"seq": 0}
        if since["seq"] > len(self.journal):
            self.lose(0, len(self.journal), "rolled-back", subscription=subscription)
        for event in self.journal[since["seq"] :]:
            if event.name in EventFilter(arguments["events"]):
                self.send_event(event, subscription)

    def _upgrade(self, _: dict[str, Any]) -> Any:
        if not self.can_mux:
            raise Refused(f"The command {UPGRADE} has not been found", "CommandNotFound")
        return {"version": 1}

    def _unsubscribe(self, arguments: dict[str, Any]) -> Any:
        self.subscriptions.pop(arguments.get("subscription", ""), None)
        return {}


@asynccontextmanager
async def standin_guest(directory: Path, dialect: str = "qmp") -> AsyncIterator[StandInGuest]:
    """Run one for as long as the block lasts."""
    guest = StandInGuest(directory / "guest", dialect)
    await guest.start()
    try:
        yield guest
    finally:
        await guest.stop()


def session(name: str, user: str = "alice", **more: Any) -> dict[str, Any]:
    """A session as the guest tells it."""
    return {"session": name, "user": user, "uid": 1000, "seat": "seat0", "active": False, **more}
