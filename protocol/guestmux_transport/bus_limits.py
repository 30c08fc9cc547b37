"""What one connection to the bus may use up; each limit with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BusLimits:
    """Bounds of one connection.

    Attributes:
        message_bytes: largest message sent or received; dbus-daemon's own default for the system bus. Who serves
            strangers should take less: while a message of small values is decoded (in dbus-next about 1 MB a
            second) nothing else runs, and each byte can become a hundred.
        queued_bytes: what may wait for a bus that does not read; two of the largest messages.
        messages_per_wakeup: messages handled before the rest of the program gets its turn: some milliseconds.
        pending_calls: calls that the bus has open for us, below the system bus's 128 per connection.
        pending_per_destination: the most of these that one destination may hold; `bus_slots` shares them out.
        overdue_per_destination: unanswered calls past their deadline after which a destination gets no more.
        waiting_calls: calls that wait for a slot; beyond it QueueFull.
        handlers: method calls from others being answered at one time.
        handlers_per_sender: the most of these from one sender.
    """

    message_bytes: int = 32 * 1024 * 1024
    queued_bytes: int = 64 * 1024 * 1024
    messages_per_wakeup: int = 32
    pending_calls: int = 120
    pending_per_destination: int = 8
    overdue_per_destination: int = 4
    waiting_calls: int = 4096
    handlers: int = 256
    handlers_per_sender: int = 32


DEFAULT_BUS_LIMITS = BusLimits()
