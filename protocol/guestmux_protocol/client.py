"""The host's side of a connection: finds out which dialect the guest speaks, gives ids, pairs replies with requests.

On connect it sends 0xFF and a guest-sync-delimited. A `qga` port answers it; a `qmp` port greets, and refuses it
because the negotiation comes first. Neither needs a wait to be told from the other.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from msgspec import Struct

from guestmux_protocol.errors import FramingError, GuestmuxError
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits
from guestmux_protocol.messages import (
    ErrorReply,
    Event,
    Greeting,
    MessageError,
    Reply,
    Request,
    encode_request,
    parse_server_message,
)


class ClientState(Enum):
    """Where the connection stands."""

    SYNCING = "waiting for the guest's first word"
    NEGOTIATING = "negotiating capabilities"
    READY = "ready"


class Connected(Struct, frozen=True):
    """The guest answered; requests may be sent.

    Args:
        dialect: `qga` or `qmp`.
        greeting: the guest's, on a `qmp` port.
        again: True when the guest's side restarted under a connection that was ready:
            requests under way are lost, subscriptions are gone.
    """

    dialect: str
    greeting: Greeting | None
    again: bool = False


class Garbled(Struct, frozen=True):
    """Bytes that are no message of a QMP server; they were skipped."""

    desc: str


Received = Connected | Reply | ErrorReply | Event | Garbled


class NotReady(GuestmuxError):
    """A request was made before the guest answered."""


class ClientConnection:
    """One connection to a guest, without I/O: bytes in, messages out.

    Args:
        sync_id: a number that no earlier connection used, so that stale replies are told from ours.
        limits: bounds on one message from the guest.
    """

    def __init__(self, sync_id: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self.state = ClientState.SYNCING
        self.greeting: Greeting | None = None
        self._framer = JsonFramer(limits)
        self._sync_id = sync_id
        self._next_id = 0
        self._was_ready = False
        self._outgoing = [b"\xff" + self._encode("guest-sync-delimited", {"id": sync_id}, f"sync-{sync_id}")]

    def __repr__(self) -> str:
        return f"<ClientConnection {self.state.name} {self.dialect}>"

    @property
    def dialect(self) -> str:
        """`qmp` once a greeting came, else `qga`."""
        return "qmp" if self.greeting else "qga"

    def data_to_send(self) -> bytes:
        """The bytes to send now; call it after `__init__` and after every `receive` and `request`."""
        data, self._outgoing = b"".join(self._outgoing), []
        return data

    def request(self, command: str, arguments: dict[str, Any]) -> str:
        """Queue a request and give its id. On a `qmp` port it runs concurrently with the others.

        Raises:
            NotReady: the guest has not answered yet.
            JsonError: an argument is no JSON value.
        """
        if self.state is not ClientState.READY:
            raise NotReady(f"the guest is not ready for requests: {self.state.value}")
        self._next_id += 1
        request_id = f"{self._sync_id}-{self._next_id}"
        self._outgoing.append(self._encode(command, arguments, request_id, oob=self.greeting is not None))
        return request_id

    def receive(self, data: bytes) -> list[Received]:
        """The messages in the guest's bytes, in order."""
        received = (self._read(value) for value in self._framer.feed(data))
        return [message for message in received if message is not None]

    def _encode(
        self, command: str, arguments: dict[str, Any], request_id: str, *, oob: bool = False
    ) -> bytes:
        return encode_request(Request(command, arguments, request_id, oob))

    def _read(self, untrusted_value: bytes | FramingError) -> Received | None:
        if isinstance(untrusted_value, FramingError):
            return Garbled(untrusted_value.desc)
        try:
            message = parse_server_message(decode(untrusted_value))
        except JsonError as error:
            return Garbled(error.desc)
        except MessageError as error:
            return Garbled(str(error))
        if isinstance(message, Greeting):
            self._greeted(message)
            return None
        return self._advance(message)

    def _greeted(self, greeting: Greeting) -> None:
        self.greeting = greeting
        self.state = ClientState.NEGOTIATING
        enable = [name for name in greeting.capabilities if name == "oob"]
        self._outgoing.append(self._encode("qmp_capabilities", {"enable": enable}, f"hello-{self._sync_id}"))

    def _advance(self, message: Reply | ErrorReply | Event) -> Received | None:
        if self.state is ClientState.READY:
            return message
        expected = {
            ClientState.SYNCING: f"sync-{self._sync_id}",
            ClientState.NEGOTIATING: f"hello-{self._sync_id}",
        }[self.state]
        # What else comes now answers an earlier host, or is the refusal of our sync by a qmp port.
        if not isinstance(message, Reply) or message.id != expected:
            return None
        self.state = ClientState.READY
        again, self._was_ready = self._was_ready, True
        return Connected(self.dialect, self.greeting, again)
