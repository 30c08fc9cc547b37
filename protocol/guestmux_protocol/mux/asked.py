"""What was asked and not answered yet, as the asker and the server both count it."""

from __future__ import annotations


class Asked:
    """Requests without an answer, and the ids used so far.

    Attributes:
        last: the highest id so far, of requests and streams.
        size: bytes of the arguments of everything unanswered, streams included.
        requests: ids of the requests without an answer.
        sizes: bytes of the arguments of each, by the ids of everything unanswered.
    """

    __slots__ = ("last", "requests", "size", "sizes")

    def __init__(self) -> None:
        self.last = 0
        self.size = 0
        self.sizes: dict[int, int] = {}
        self.requests: set[int] = set()

    def add(self, number: int, size: int, *, request: bool) -> None:
        """Note a REQUEST or an OPEN."""
        self.last = number
        self.size += size
        self.sizes[number] = size
        if request:
            self.requests.add(number)

    def answered(self, number: int) -> None:
        """Note the answer to what is unanswered."""
        self.size -= self.sizes.pop(number)
        self.requests.discard(number)
