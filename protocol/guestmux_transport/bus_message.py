"""The D-Bus message as the rest of the adapter sees it, whichever library encodes it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

METHOD_CALL: Final = 1
METHOD_RETURN: Final = 2
ERROR: Final = 3
SIGNAL: Final = 4

NO_FLAGS: Final = 0
NO_REPLY_EXPECTED: Final = 1


class Message(msgspec.Struct, kw_only=True):
    """One D-Bus message; the fields are those of the specification's header.

    Attributes:
        kind: METHOD_CALL, METHOD_RETURN, ERROR or SIGNAL.
        sender: the unique name that the bus wrote into it; None on what we send.
        body: the arguments, with `Variant` for each "v" and an index into `fds` for each "h".
        fds: file descriptors that came with it, owned by whoever holds the message; to be sent: the caller's.
    """

    kind: int
    serial: int = 0
    flags: int = NO_FLAGS
    reply_serial: int = 0
    sender: str | None = None
    destination: str | None = None
    path: str | None = None
    interface: str | None = None
    member: str | None = None
    error_name: str | None = None
    signature: str = ""
    body: Sequence[Any] = ()
    fds: list[int] = msgspec.field(default_factory=list)

    def __repr__(self) -> str:
        place = f"{self.path or ''} {self.interface or self.error_name or ''}.{self.member or ''}"
        return f"<Message {self.kind} #{self.serial} {self.sender or ''}>{self.destination or ''} {place}>"
