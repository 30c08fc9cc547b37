"""The host's side of a connection: finds out which dialect the guest speaks, gives ids, pairs replies with requests.

On connect it sends 0xFF and a guest-sync-delimited. A `qga` port answers it; a `qmp` port greets, and refuses it
because the negotiation comes first. Neither needs a wait to be told from the other. A `qmp` guest is then asked to go
over to `mux`; one that cannot refuses, and stays as it is.

The far end may be replaced while the connection lives on: QEMU keeps its chardev open when the guest reboots. A `qmp`
guest then greets anew. Should it have stopped in the middle of a message, that greeting is garbled with the message's
beginning; so after garbled bytes the guest is asked whether it still is the one that was negotiated with.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from msgspec import Struct

from guestmux_protocol.commands import MUX_VERSION
from guestmux_protocol.errors import FramingError, GuestmuxError, JsonError
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.json_text import decode
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits
from guestmux_protocol.messages import (
    COMMAND_NOT_FOUND,
    ErrorReply,
    Event,
    Greeting,
    MessageError,
    Reply,
    Request,
    encode_request,
    parse_server_message,
)

UPGRADE = "guest-mux-upgrade"
"""Makes a `qmp` connection a `mux` one (docs/mux.md)."""

ALREADY_NEGOTIATED = "Capabilities negotiation is already complete"
"""How a `qmp` server refuses a second qmp_capabilities (monitor/qmp.c)."""

CUT_SHORT = "a message ends in the middle: the guest's side was cut off while it wrote"


class ClientState(Enum):
    """Where the connection stands."""

    SYNCING = "waiting for the guest's first word"
    NEGOTIATING = "negotiating capabilities"
    CHECKING = "asking after garbled bytes whether the guest restarted"
    UPGRADING = "asking for mux"
    READY = "ready"
    MUX = "ended: the connection speaks mux now"


class Connected(Struct, frozen=True):
    """The guest answered; requests may be sent.

    Args:
        dialect: `qga` or `qmp`.
        greeting: the guest's, on a `qmp` port whose greeting was heard.
        again: True when the guest's side restarted, or lost its place, under a connection that was ready:
            requests under way are lost, subscriptions are gone. False after garbled bytes that cost nothing else.
    """

    dialect: str
    greeting: Greeting | None
    again: bool = False


class Upgraded(Struct, frozen=True):
    """The guest speaks mux from here on; this connection has ended.

    Args:
        greeting: the guest's, where it was heard.
        again: as for `Connected`.
        rest: mux bytes that came already.
    """

    greeting: Greeting | None
    again: bool
    rest: bytes


class Garbled(Struct, frozen=True):
    """Bytes that are no message of a QMP server; they were skipped."""

    desc: str


Received = Connected | Upgraded | Reply | ErrorReply | Event | Garbled


class NotReady(GuestmuxError):
    """A request was made before the guest answered."""


class ClientConnection:
    """One connection to a guest, without I/O: bytes in, messages out.

    Args:
        sync_id: a number that no earlier connection used, so that stale replies are told from ours;
            at least 2**31 below the greatest int64.
        limits: bounds on one message from the guest.
        mux: whether a `qmp` guest is asked to go over to mux.

    Attributes:
        state: where the connection stands.
        dialect: `qga` or `qmp`; `qga` until it is known.
        greeting: the guest's latest, None where none was heard.
    """

    def __init__(self, sync_id: int, limits: Limits = DEFAULT_LIMITS, *, mux: bool = False) -> None:
        self.state = ClientState.SYNCING
        self.dialect = "qga"
        self.greeting: Greeting | None = None
        self._framer = JsonFramer(limits)
        self._prefix = sync_id
        self._token = sync_id
        self._next_id = 0
        self._was_ready = False
        self._asks_for_mux = mux
        self._again = False
        self._agreed = False
        self._enabled: list[str] = []
        self._outgoing: list[bytes] = []
        self._sync()

    def __repr__(self) -> str:
        return f"<ClientConnection {self.state.name} {self.dialect}>"

    @property
    def concurrent(self) -> bool:
        """Whether requests overtake each other; else the guest answers them in order, one at a time."""
        return "oob" in self._enabled

    def data_to_send(self) -> bytes:
        """The bytes to send now; call it after `__init__` and after every `receive` and `request`."""
        data, self._outgoing = b"".join(self._outgoing), []
        return data

    def request(self, command: str, arguments: dict[str, Any]) -> str:
        """Queue a request and give its id. Where `oob` was negotiated it runs concurrently with the others.

        Raises:
            NotReady: the guest has not answered yet.
            JsonError: an argument is no JSON value.
        """
        if self.state is not ClientState.READY:
            raise NotReady(f"the guest is not ready for requests: {self.state.value}")
        request_id = f"{self._prefix}-{self._next_id + 1}"
        self._send(command, arguments, request_id, oob=self.concurrent)
        self._next_id += 1
        return request_id

    def ask_again(self) -> None:
        """Repeat the first question, which a guest that is booting may have lost; once it said something, do nothing.

        With the same number: an answer to either will do, and one that comes behind it is that to no request of ours.
        """
        if self.state is ClientState.SYNCING and self.dialect == "qga":
            self._ask_who_is_there()

    def receive(self, data: bytes) -> list[Received]:
        """The messages in the guest's bytes, in order."""
        return list(self._messages(data))

    def _messages(self, data: bytes) -> Iterator[Received]:
        while data and self.state is ClientState.UPGRADING:
            # What follows the line of the guest's consent is no JSON.
            end = data.find(b"\n") + 1
            line, data = (data[:end], data[end:]) if end else (data, b"")
            yield from self._read_all(self._frame(line))
            if self._agreed and end:
                self.state = ClientState.MUX
                yield Upgraded(self.greeting, self._again, data)
                return
        yield from self._read_all(self._frame(data))

    def _read_all(self, items: list[bytes | FramingError]) -> Iterator[Received]:
        for item in items:
            message = self._read(item)
            if message is not None:
                yield message

    def _frame(self, data: bytes) -> list[bytes | FramingError]:
        """Cut into values. A message is one line, so what is open at a line's end will never be finished."""
        first, last = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        items = self._line(data[:first]) if first else []
        if first < last:
            items += self._lines(data[first:last])
        return items + self._framer.feed(data[last:])

    def _lines(self, data: bytes) -> list[bytes | FramingError]:
        """Many lines at once where all is well, which is twice as fast; else one by one."""
        items = self._framer.feed(data)
        if not self._framer.buffered and all(type(item) is bytes and b"\n" not in item for item in items):
            return items
        self._framer.reset()
        return [item for line in data.split(b"\n")[:-1] for item in self._line(line + b"\n")]

    def _line(self, data: bytes) -> list[bytes | FramingError]:
        items = self._framer.feed(data)
        if self._framer.buffered:
            items.append(FramingError(CUT_SHORT))
        self._framer.reset()
        return items

    def _read(self, untrusted_value: bytes | FramingError) -> Received | None:
        if isinstance(untrusted_value, FramingError):
            return self._garbled(untrusted_value.desc)
        try:
            message = parse_server_message(decode(untrusted_value))
        except JsonError as error:
            return self._garbled(error.desc)
        except MessageError as error:
            return Garbled(error.desc)
        if isinstance(message, Greeting):
            self.greeting = message
            self._negotiate(ClientState.NEGOTIATING, [name for name in message.capabilities if name == "oob"])
            return None
        return self._advance(message)

    def _garbled(self, desc: str) -> Garbled:
        if self.state is ClientState.READY:
            if self.dialect == "qmp":
                self._negotiate(ClientState.CHECKING, ["oob"] if self.concurrent else [])
            else:
                self._sync(ClientState.CHECKING)
        return Garbled(desc)

    def _sync(self, state: ClientState = ClientState.SYNCING) -> None:
        self.state = state
        self._token += 1
        self._ask_who_is_there()

    def _ask_who_is_there(self) -> None:
        self._outgoing.append(b"\xff")
        self._send("guest-sync-delimited", {"id": self._token}, f"sync-{self._token}")

    def _negotiate(self, state: ClientState, enable: list[str]) -> None:
        self.state = state
        self.dialect = "qmp"
        self._enabled = enable
        self._token += 1
        self._send("qmp_capabilities", {"enable": enable}, f"hello-{self._token}")

    def _send(self, command: str, arguments: dict[str, Any], request_id: str, *, oob: bool = False) -> None:
        self._outgoing.append(encode_request(Request(command, arguments, request_id, oob)))

    def _advance(self, message: Reply | ErrorReply | Event) -> Received | None:
        if self.state is ClientState.READY:
            return message
        if isinstance(message, Event) or message.id not in self._awaited():
            # While it is only being checked the guest may well answer. Before that it answers an earlier host.
            return message if self.state is ClientState.CHECKING else None
        if self.state is ClientState.UPGRADING:
            self._agreed = isinstance(message, Reply) and _version(message.value) == MUX_VERSION
            return None if self._agreed else self._ready()
        if isinstance(message, Reply):
            return self._connected(again=self._was_ready)
        return self._refused(message)

    def _refused(self, refusal: ErrorReply) -> Connected | None:
        """The guest refused our sync or our qmp_capabilities."""
        if refusal.desc.startswith(ALREADY_NEGOTIATED):
            if self.state is not ClientState.CHECKING:
                # By a host before us, whose leaving the guest did not see; what that one enabled is not known.
                self._enabled = []
            return self._connected(again=False)
        if self._enabled:
            self._negotiate(self.state, [])
        elif self.dialect == "qga" and refusal.error_class == COMMAND_NOT_FOUND:
            # A qmp port whose greeting was lost, as on a pty that nobody had open.
            self._negotiate(self.state, ["oob"])
        return None

    def _awaited(self) -> tuple[str, ...]:
        if self.state is ClientState.UPGRADING:
            return (f"mux-{self._token}",)
        return f"sync-{self._token}", f"hello-{self._token}"

    def _connected(self, *, again: bool) -> Connected | None:
        self._again = again
        if not self._asks_for_mux or self.dialect != "qmp" or (self._was_ready and not again):
            return self._ready()
        self.state = ClientState.UPGRADING
        self._agreed = False
        self._token += 1
        self._send(UPGRADE, {"version": MUX_VERSION}, f"mux-{self._token}")
        return None

    def _ready(self) -> Connected:
        self.state = ClientState.READY
        self._was_ready = True
        return Connected(self.dialect, self.greeting, self._again)


def _version(untrusted_value: Any) -> Any:
    return untrusted_value.get("version") if isinstance(untrusted_value, dict) else None
