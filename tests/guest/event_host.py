"""A host that remembers the events that come while it asks for something else."""

from collections.abc import Callable
from typing import Any, Self

from tests.support.wire_host import WireHost

Told = dict[str, Any]


class EventHost(WireHost):
    """A wire host; nothing of what it is told is lost."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.told: list[Told] = []

    def message(self) -> Told:
        """The next message."""
        message = super().message()
        if "event" in message:
            self.told.append(message)
        return message

    def subscribe(self, *events: str, **more: Any) -> Told:
        """Subscribe; gives the answer."""
        answer: Told = self.ask("guest-event-subscribe", events=list(events), **more)["return"]
        return answer

    def data(self, *names: str) -> list[Told]:
        """The data of all events of these names so far."""
        return [message["data"] for message in self.told if message["event"] in names]

    def until(self, enough: Callable[[Self], bool]) -> Self:
        """Read on until there is enough."""
        while not enough(self):
            self.message()
        return self
