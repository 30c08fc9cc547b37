"""What can go wrong at the edges: every OSError and library error becomes one of these."""

from guestmux_protocol.errors import GuestmuxError, RemoteError


class BusError(GuestmuxError):
    """Root of what the D-Bus adapter raises."""


class BusUnavailable(BusError):
    """No bus at that address, it refused us, or it did not answer in time."""


class BusLost(BusError):
    """The connection to the bus ended; a call under way may or may not have been carried out."""


class CallTimeout(BusError):
    """No answer within the call's deadline; the call may or may not have been carried out."""


class QueueFull(BusError):
    """The bus does not take our messages as fast as we send them; nothing was sent."""


class InvalidValue(BusError):
    """A value that D-Bus cannot carry; sending it would have ended the connection."""


class TooLarge(BusError):
    """A message over the size limit; nothing was sent, or the answer was thrown away unread."""


class NameTaken(BusError):
    """Another process owns the bus name that we need."""


class MalformedMessage(BusError):
    """Bytes from the bus that are no D-Bus message."""


class CallError(RemoteError, BusError):
    """The other side, or the bus, answered with a D-Bus error.

    Attributes:
        name: the D-Bus error name, as `org.freedesktop.DBus.Error.ServiceUnknown`.
        text: the other side's text; untrusted.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


class MethodError(BusError):
    """Raised by a method handler: what the caller is to get as a D-Bus error.

    Args:
        name: a D-Bus error name, as `org.guestmux.Error.Denied`.
        text: what the caller should do next; it leaves this process.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text
