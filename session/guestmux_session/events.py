"""How a class declares its events, and what emits them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar, overload

from guestmux_protocol.registry import Data, EventType
from guestmux_protocol.schema import Object
from guestmux_protocol.schema_python import from_python

DataType = TypeVar("DataType", bound=Data)


class Emitter(Protocol):
    """What an event needs of its agent."""

    async def emit(self, event: str, data: Data | dict[str, Any]) -> int:
        """Send an event to the host."""

    async def post(self, event: str, data: Data | dict[str, Any]) -> None:
        """Send an event without waiting for its number."""

    def wanted(self, event: str) -> bool:
        """Whether a host subscribed to it."""

    def withheld(self, event: str) -> frozenset[str]:
        """The members of its data that do not leave the guest."""

    async def until_wanted(self, *events: str) -> None:
        """Wait until a host has."""


class BoundEvent(Generic[DataType]):
    """An event of one agent: call it to emit it."""

    def __init__(self, agent: Emitter, name: str) -> None:
        self._agent = agent
        self.name = name

    def __repr__(self) -> str:
        return f"<BoundEvent {self.name}>"

    async def __call__(self, data: DataType) -> int:
        """Emit it; returns its number in the journal. Raises as `Agent.emit` does."""
        return await self._agent.emit(self.name, data)

    async def post(self, data: DataType) -> None:
        """Emit it without waiting for its number. Raises as `Agent.post` does."""
        await self._agent.post(self.name, data)

    @property
    def wanted(self) -> bool:
        """Whether a host subscribed to it; there is no need to watch what nobody wants."""
        return self._agent.wanted(self.name)

    def withholds(self, member: str) -> bool:
        """Whether a member of its data does not leave the guest: it need not be found out."""
        withheld = self._agent.withheld(self.name)
        return member in withheld or "*" in withheld

    async def until_wanted(self) -> None:
        """Wait until a host subscribed to it."""
        await self._agent.until_wanted(self.name)


class Event(Generic[DataType]):
    """Declares an event of an agent, as a member of its class.

    Args:
        name: as the host sees it; with a downstream prefix, as `__org.example_TICKED`.
        data: the class of its data.
        doc: what it tells; the data's docstring where not given.
    """

    def __init__(self, name: str, data: type[DataType], doc: str = "") -> None:
        kind = from_python(data)
        assert isinstance(kind, Object)
        self.description = EventType(name, doc or inspect.cleandoc(data.__doc__ or ""), kind, "bounded")

    @overload
    def __get__(self, agent: None, cls: type) -> Event[DataType]: ...

    @overload
    def __get__(self, agent: Emitter, cls: type) -> BoundEvent[DataType]: ...

    def __get__(self, agent: Emitter | None, cls: type) -> Event[DataType] | BoundEvent[DataType]:
        """The event of one agent; of the class, its declaration."""
        return self if agent is None else BoundEvent(agent, self.description.name)


class KnownEvent(Event[DataType]):
    """Declares an event that is described elsewhere, as those of the stock agent in `guestmux_protocol.events`.

    Args:
        description: of it.
        data: the class of its data, as in the description.
    """

    def __init__(self, description: EventType, data: type[DataType]) -> None:
        super().__init__(description.name, data, description.doc)


def events_of(owner: object) -> dict[str, EventType]:
    """The events that an object's class declares, by name."""
    return {event.description.name: event.description for event in _declared(type(owner))}


def _declared(cls: type) -> Iterator[Event[Any]]:
    for base in reversed(cls.__mro__):
        yield from (value for value in vars(base).values() if isinstance(value, Event))
