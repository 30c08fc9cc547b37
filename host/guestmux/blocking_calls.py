"""Makes methods that wait out of a guest's async ones, with the same arguments and documentation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal

from guestmux.guest import Guest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Opened = TypeVar("Opened")


class BlockingCalls:
    """A guest, and the event loop that it lives in.

    Args:
        portal: runs what waits.
        guest: the guest.
    """

    def __init__(self, portal: BlockingPortal, guest: Guest) -> None:
        self._portal = portal
        self._guest = guest

    def _wait_for(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._portal.call(partial(getattr(self._guest, name), *args, **kwargs))


def waits(
    method: Callable[Concatenate[Guest, Parameters], Awaitable[Result]],
) -> Callable[Concatenate[BlockingCalls, Parameters], Result]:
    """The method, which gives its result when it has it.

    Args:
        method: of `guestmux.Guest`; so it is below.
    """

    @wraps(method)
    def call(self: BlockingCalls, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        result: Result = self._wait_for(method.__name__, *args, **kwargs)
        return result

    return call


def gives(
    kind: Callable[[BlockingPortal, Opened], Result],
    method: Callable[Concatenate[Guest, Parameters], Awaitable[Opened]],
) -> Callable[Concatenate[BlockingCalls, Parameters], Result]:
    """The method, which gives what it opened in a form that waits as well.

    Args:
        kind: makes that form.
        method: opens something.
    """

    @wraps(method)
    def call(self: BlockingCalls, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return kind(self._portal, self._wait_for(method.__name__, *args, **kwargs))

    return call


def within(
    method: Callable[Concatenate[Guest, Parameters], AbstractAsyncContextManager[Result]],
) -> Callable[Concatenate[BlockingCalls, Parameters], AbstractContextManager[Result]]:
    """The method, whose context is for `with`.

    Args:
        method: gives a context.
    """

    @wraps(method)
    def call(
        self: BlockingCalls, /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> AbstractContextManager[Result]:
        context = getattr(self._guest, method.__name__)(*args, **kwargs)
        return self._portal.wrap_async_context_manager(context)

    return call
