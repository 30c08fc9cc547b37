"""Connections into the guest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from guestmux.calling import Calling
from guestmux.errors import CommandDisabled, NoStreams
from guestmux.forward_address import parse_listen_address
from guestmux.forward_listener import listen
from guestmux.forwarding import Forwarding
from guestmux.guest_stream import GuestStream
from guestmux_protocol.local_sockets import parse_local_socket

logger = logging.getLogger(__name__)

HOW_TO_ENABLE = (
    "connections into the guest are off there until /etc/guestmux/eventd.toml enables them:"
    ' a [[policy]] table with enable = ["guest-connect"]'
)


class ForwardCalls(Calling):
    """Connects to sockets in the guest: as root where no session is named, else as the session's user."""

    async def dial(
        self,
        remote: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> GuestStream:
        """Connect to a socket in the guest: `async with await guest.dial("tcp:22") as stream`.

        Args:
            remote: `unix:/PATH`, `unix:@NAME`, or a TCP port of the guest's loopback: `tcp:PORT`, `tcp:[::1]:PORT`.
            session: whose agent connects: a logind id, `active` or `user:NAME`.
            wait: seconds to wait for that agent to register.
            timeout: seconds to connect.

        Raises:
            AddressError: `remote` is no such address.
            CommandDisabled: the guest's policy does not allow it, as it does by itself; the text says what would.
            CommandFailed: nobody listens there, or the user may not connect.
            GuestmuxError: as for `stream`.
        """
        parse_local_socket(remote)
        try:
            return await self.stream("guest-connect", to=remote, session=session, wait=wait, timeout=timeout)
        except CommandDisabled as error:
            raise CommandDisabled(error.error_class, f"{error.desc}; {HOW_TO_ENABLE}") from error

    @asynccontextmanager
    async def forward(
        self,
        local: str,
        remote: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> AsyncIterator[Forwarding]:
        """Listen on this host, and connect whoever comes to a socket in the guest, until the block ends.

        A connection to the guest that is lost takes the forwarded ones along; the listener stays, and new ones wait for
        the guest to be back.

        Args:
            local: `unix:PATH[,mode=0600]`, or `tcp:[ADDRESS:]PORT`, on 127.0.0.1 where no address is named; port 0 is
                one that is free.
            remote: as for `dial`.
            session: as for `dial`.
            wait: as for `dial`.
            timeout: seconds that each connection has to be made.
            on_failure: is told in a line of each connection that failed; they are logged by default.

        Raises:
            AddressError: an address is none.
            LocalFileError: nobody can listen there.
            NoStreams: the guest's port carries no streams.
        """
        address = parse_listen_address(local)
        parse_local_socket(remote)
        dial = partial(self.dial, remote, session=session, wait=wait, timeout=timeout)
        if not self.has_streams:
            raise NoStreams("forwarding needs a port that speaks mux; this one carries no streams")
        listener = listen(address)
        forwarding = Forwarding(listener, dial, on_failure or partial(logger.warning, "%s"))
        task = asyncio.create_task(forwarding.serve(), name=f"guestmux forward {local}")
        try:
            yield forwarding
        finally:
            task.cancel()
            await asyncio.wait([task])
            listener.close()
            if not task.cancelled() and (fault := task.exception()):
                raise fault
