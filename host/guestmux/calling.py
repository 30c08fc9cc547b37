"""The untyped call that every typed method stands on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from guestmux.errors import UnexpectedReply
from guestmux.guest_stream import GuestStream

T = TypeVar("T")


class Calling(ABC):
    """Something that commands can be run in."""

    @property
    @abstractmethod
    def concurrent(self) -> bool:
        """Whether calls overtake each other; else the guest answers them in order, one at a time."""

    @abstractmethod
    async def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Any:
        """Run a command; see `Guest.call`."""

    @property
    @abstractmethod
    def has_streams(self) -> bool:
        """Whether streams can be opened, as on a port that speaks `mux`."""

    @abstractmethod
    async def stream(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> GuestStream:
        """Open a stream; see `Guest.stream`."""


def read_as(kind: type[T], command: str, untrusted_value: Any) -> T:
    """A reply as the type that its command returns.

    Raises:
        UnexpectedReply: it is something else.
    """
    try:
        return msgspec.convert(untrusted_value, kind)
    except msgspec.ValidationError as error:
        raise UnexpectedReply(f"the guest's answer to {command}: {error}") from error
