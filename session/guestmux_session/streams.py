"""How a class declares the streams that it serves.

@stream("__org.example_tail")
async def tail(self, stream: ServedStream, path: str) -> None: ...

@stream_of(GUEST["guest-file-download"])
async def download(self, arguments: GuestFileDownload, stream: ServedStream) -> Transferred: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from guestmux_protocol.registry import Command
from guestmux_session.declarations import Mark, put_mark
from guestmux_session.served_stream import ServedStream
from guestmux_session.signature import Nothing

__all__ = ["ServedStream", "stream", "stream_of"]

Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])


def stream(name: str, *, reply: Any = Nothing) -> Callable[[Function], Function]:
    """Serve an async method as a stream.

    Its parameters after the stream are the command's arguments, its docstring is the documentation.

    Args:
        name: as the host opens it; with a downstream prefix, as `__org.example_name`.
        reply: the type of what `accept` is given; an empty object where not said.
    """
    return lambda function: put_mark(function, Mark(function, name=name, stream=True, reply=reply))


def stream_of(description: Command) -> Callable[[Function], Function]:
    """Serve an async method as a stream that is described already; it takes the typed arguments and the stream.

    Raises:
        TypeError: the description is no stream's.
    """
    if not description.stream:
        raise TypeError(f"'{description.name}' is no stream: serve it with command_of")
    return lambda function: put_mark(function, Mark(function, known=description, stream=True))
