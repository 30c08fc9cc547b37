"""The SDK for scripts without async: the same methods, each of which waits.

>>> with guestmux.blocking.connect("unix:/run/vm1/guestmux.sock") as guest:
...     guest.lock(session="user:alice")
...     for event in guest.events("SESSION_*", timeout=60):
...         print(event)

Each guest has an event loop in a thread of its own; the methods may be called from several threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal

from guestmux import guest as asynchronous
from guestmux.blocking_calls import BlockingCalls, gives, waits, within
from guestmux.blocking_events import EventStream
from guestmux.blocking_file import GuestFile
from guestmux.blocking_process import Process
from guestmux.blocking_stream import GuestStream
from guestmux.event_queue import MAX_EVENTS
from guestmux.guest import CONNECT_TIMEOUT
from guestmux_protocol.addresses import DialAddress
from guestmux_protocol.commands import Position

__all__ = ["Guest", "connect"]

_Guest = asynchronous.Guest


class Guest(BlockingCalls):
    """A connected guest. Made by `connect`; every method raises what the one of `guestmux.Guest` raises.

    Watchers that are given to methods are called in the guest's thread.
    """

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

    @property
    def has_streams(self) -> bool:
        """Whether streams can be opened, as on a port that speaks `mux`."""
        return self._guest.has_streams

    call = waits(_Guest.call)
    stream = gives(GuestStream, _Guest.stream)

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

    ping = waits(_Guest.ping)
    info = waits(_Guest.info)
    sessions = waits(_Guest.sessions)
    users = waits(_Guest.users)
    schema = waits(_Guest.schema)
    wait_session = waits(_Guest.wait_session)
    wait_agent = waits(_Guest.wait_agent)

    lock = waits(_Guest.lock)
    unlock = waits(_Guest.unlock)
    idle = waits(_Guest.idle)
    logout = waits(_Guest.logout)
    session_info = waits(_Guest.session_info)
    notify = waits(_Guest.notify)
    close_notification = waits(_Guest.close_notification)
    open_uri = waits(_Guest.open_uri)

    inhibit_idle = waits(_Guest.inhibit_idle)
    uninhibit_idle = waits(_Guest.uninhibit_idle)
    idle_inhibitors = waits(_Guest.idle_inhibitors)
    idle_inhibited = within(_Guest.idle_inhibited)

    clipboard_formats = waits(_Guest.clipboard_formats)
    clipboard_get = waits(_Guest.clipboard_get)
    clipboard_set = waits(_Guest.clipboard_set)
    clipboard_clear = waits(_Guest.clipboard_clear)

    list_apps = waits(_Guest.list_apps)
    installed_apps = waits(_Guest.installed_apps)
    launch = waits(_Guest.launch)
    focus_app = waits(_Guest.focus_app)
    close_app = waits(_Guest.close_app)

    displays = waits(_Guest.displays)
    set_displays = waits(_Guest.set_displays)

    push_agent = waits(_Guest.push_agent)
    pushed_agents = waits(_Guest.pushed_agents)
    remove_agent = waits(_Guest.remove_agent)
    agent_log = gives(GuestStream, _Guest.agent_log)

    open_file = gives(GuestFile, _Guest.open_file)
    read_file = waits(_Guest.read_file)
    write_file = waits(_Guest.write_file)
    download = waits(_Guest.download)
    upload = waits(_Guest.upload)

    exec = gives(Process, _Guest.exec)
    run = waits(_Guest.run)

    dial = gives(GuestStream, _Guest.dial)
    forward = within(_Guest.forward)

    os_info = waits(_Guest.os_info)
    host_name = waits(_Guest.host_name)
    timezone = waits(_Guest.timezone)
    time = waits(_Guest.time)
    load = waits(_Guest.load)
    network_interfaces = waits(_Guest.network_interfaces)
    filesystems = waits(_Guest.filesystems)

    freeze_status = waits(_Guest.freeze_status)
    freeze = waits(_Guest.freeze)
    thaw = waits(_Guest.thaw)
    frozen = within(_Guest.frozen)
    trim = waits(_Guest.trim)

    shutdown = waits(_Guest.shutdown)
    reboot = waits(_Guest.reboot)
    suspend = waits(_Guest.suspend)


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
