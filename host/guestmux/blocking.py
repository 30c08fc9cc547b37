"""The SDK for scripts without async: the same methods, each of which waits.

>>> with guestmux.blocking.connect("unix:/run/vm1/guestmux.sock") as guest:
...     guest.lock(session="user:alice")
...     for event in guest.events("SESSION_*", timeout=60):
...         print(event)

Each guest has an event loop in a thread of its own; the methods may be called from several threads.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from guestmux import guest as asynchronous
from guestmux.blocking_calls import GuestCalls
from guestmux.blocking_clipboard import ClipboardCalls
from guestmux.blocking_events import EventStream
from guestmux.blocking_stream import GuestStream
from guestmux.blocking_transfers import TransferCalls
from guestmux.calls import ACTIVE
from guestmux.event_queue import MAX_EVENTS
from guestmux.guest import CONNECT_TIMEOUT
from guestmux.schema import GuestSchema
from guestmux_protocol.addresses import DialAddress
from guestmux_protocol.commands import GuestAgentInfo, GuestUser, Position
from guestmux_protocol.notification_commands import NotifyAction, NotifyResult
from guestmux_protocol.session_commands import LockState, SessionInfo
from guestmux_protocol.sessions import AgentInfo, Session

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Guest(GuestCalls, ClipboardCalls, TransferCalls):
    """A connected guest. Made by `connect`; every method raises what the one of `guestmux.Guest` raises.

    Args:
        portal: runs what waits.
        guest: the guest.
    """

    def __init__(self, portal: BlockingPortal, guest: asynchronous.Guest) -> None:
        self._portal = portal
        self._guest = guest

    def __repr__(self) -> str:
        return f"<blocking {self._guest!r}>"

    @property
    def address(self) -> DialAddress:
        """Where it is dialled."""
        return self._guest.address

    @property
    def dialect(self) -> str:
        """What the port speaks: `mux`, `qmp` or `qga`."""
        return self._guest.dialect

    @property
    def connected(self) -> bool:
        """Whether a call would be sent at once."""
        return self._guest.connected

    def call(
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
        """Run a command in the guest; see `guestmux.Guest.call`."""
        return self._wait_for(
            self._guest.call, command, arguments, session=session, wait=wait, timeout=timeout, **more
        )

    @property
    def has_streams(self) -> bool:
        """Whether streams can be opened, as on a port that speaks `mux`."""
        return self._guest.has_streams

    def stream(
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
        """Open a stream; see `guestmux.Guest.stream`."""
        opened = self._wait_for(
            self._guest.stream, command, arguments, session=session, wait=wait, timeout=timeout, **more
        )
        return GuestStream(self._portal, opened)

    def events(
        self,
        *patterns: str,
        since: Position | None = None,
        durable: str | os.PathLike[str] | None = None,
        sessions: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
        rate: Mapping[str, float] | None = None,
        beacon: float | None = None,
        window: int | None = None,
        max_events: int = MAX_EVENTS,
        timeout: float | None = None,
    ) -> EventStream:
        """Subscribe to events; the iteration ends `timeout` seconds after it began. See `guestmux.Guest.events`."""
        stream = self._guest.events(
            *patterns,
            since=since,
            durable=durable,
            sessions=sessions,
            users=users,
            rate=rate,
            beacon=beacon,
            window=window,
            max_events=max_events,
        )
        return EventStream(self._portal, stream, timeout)

    def ping(self, *, timeout: float | None = None) -> None:
        """Ask eventd for a sign of life."""
        self._wait_for(self._guest.ping, timeout=timeout)

    def info(self, *, timeout: float | None = None) -> GuestAgentInfo:
        """The agent's version and the commands that it takes now."""
        return self._wait_for(self._guest.info, timeout=timeout)

    def sessions(self, *, timeout: float | None = None) -> list[Session]:
        """Every session of logind, each with the agents registered in it."""
        return self._wait_for(self._guest.sessions, timeout=timeout)

    def users(self, *, timeout: float | None = None) -> list[GuestUser]:
        """The logged-in users, each with his earliest login."""
        return self._wait_for(self._guest.users, timeout=timeout)

    def schema(self, *, timeout: float | None = None) -> GuestSchema:
        """Every command and event of the guest with its types."""
        return self._wait_for(self._guest.schema, timeout=timeout)

    def lock(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> LockState:
        """Lock a session's screen; see `guestmux.Guest.lock`."""
        return self._wait_for(self._guest.lock, session, wait=wait, timeout=timeout)

    def unlock(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> LockState:
        """Unlock a session's screen."""
        return self._wait_for(self._guest.unlock, session, wait=wait, timeout=timeout)

    def logout(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> None:
        """End a session; what is unsaved in it is lost."""
        self._wait_for(self._guest.logout, session, wait=wait, timeout=timeout)

    def session_info(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> SessionInfo:
        """The session as its agent sees it."""
        return self._wait_for(self._guest.session_info, session, wait=wait, timeout=timeout)

    def notify(
        self,
        summary: str,
        body: str = "",
        *,
        session: str = ACTIVE,
        icon: str = "",
        urgency: Literal["low", "normal", "critical"] = "normal",
        actions: Sequence[NotifyAction] | Mapping[str, str] = (),
        expire: float | None = None,
        wait_for_user: bool = False,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> NotifyResult:
        """Show a desktop notification; see `guestmux.Guest.notify`."""
        return self._wait_for(
            self._guest.notify,
            summary,
            body,
            session=session,
            icon=icon,
            urgency=urgency,
            actions=actions,
            expire=expire,
            wait_for_user=wait_for_user,
            wait=wait,
            timeout=timeout,
        )

    def wait_session(self, session: str = ACTIVE, *, timeout: float | None = None) -> Session:
        """Wait until a session is there; see `guestmux.Guest.wait_session`."""
        return self._wait_for(self._guest.wait_session, session, timeout=timeout)

    def wait_agent(
        self, session: str = ACTIVE, agent: str | None = None, *, timeout: float | None = None
    ) -> AgentInfo:
        """Wait until an agent is registered in a session; see `guestmux.Guest.wait_agent`."""
        return self._wait_for(self._guest.wait_agent, session, agent, timeout=timeout)

    def _wait_for(
        self,
        function: Callable[Parameters, Awaitable[Result]],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        return self._portal.call(partial(function, *args, **kwargs))


@contextmanager
def connect(
    address: str | None = None, *, timeout: float = CONNECT_TIMEOUT, reconnect: bool = True, mux: bool = True
) -> Iterator[Guest]:
    """Connect to a guest, and stay connected until the block ends; see `guestmux.connect`."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(
            asynchronous.connect(address, timeout=timeout, reconnect=reconnect, mux=mux)
        ) as guest,
    ):
        yield Guest(portal, guest)
