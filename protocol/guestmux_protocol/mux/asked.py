"""What was asked and not answered yet, as the asker and the server both count it."""

from __future__ import annotations


class Asked:
    """Requests without an answer, and the ids used so far.

    Attributes:
        last: the highest id so far, of requests and streams.
        size: bytes of the arguments of everything unanswered, streams included.
    """

    __slots__ = ("_requests", "_sizes", "last", "size")

    def __init__(self) -> None:
        self.last = 0
        self.size = 0
        self._sizes: dict[int, int] = {}
        self._requests: set[int] = set()

    @property
    def requests(self) -> set[int]:
        """Ids of the requests without an answer."""
        return self._requests

    def add(self, number: int, size: int, *, request: bool) -> None:
        """Note a REQUEST or an OPEN."""
        self.last = number
        self.size += size
        self._sizes[number] = size
        if request:
            self._requests.add(number)

    def answered(self, number: int) -> None:
        """Note the answer to what is unanswered."""
        self.size -= self._sizes.pop(number)
        self._requests.discard(number)

    def __contains__(self, number: int) -> bool:
        return number in self._sizes
