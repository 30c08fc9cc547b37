"""A session that is kept from going idle for as long as somebody here wants it, over lost connections too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import anyio

from guestmux.backoff import Backoff
from guestmux.calling import Calling, read_as
from guestmux.errors import CommandNotFound, GuestmuxError, NoStreams, RemoteError
from guestmux.guest_stream import GuestStream
from guestmux_protocol.inhibit_commands import Inhibited

LEASE_SECONDS = 90.0
"""Seconds that the guest goes on without hearing of us, where it carries no streams."""

RENEW_SECONDS = 30.0
"""Seconds between two renewals: one may come late, or be lost, before the lease is over."""

FAREWELL = 2.0
"""Seconds to let go in the end; the guest lets go by itself, at once or when the lease is over."""


class Hold(Protocol):
    """What holds, until it is lost."""

    async def wait_lost(self) -> str:
        """Wait until it holds no more; gives why."""

    async def release(self) -> None:
        """Let go."""


class StreamHold:
    """An open stream: the guest lets go as soon as we are gone."""

    def __init__(self, stream: GuestStream) -> None:
        self._stream = stream

    async def wait_lost(self) -> str:
        """Wait for the stream's end."""
        try:
            while True:
                await self._stream.receive()
        except anyio.EndOfStream:
            return "the guest let go"
        except (GuestmuxError, RemoteError) as error:
            return str(error)

    async def release(self) -> None:
        """End it."""
        await self._stream.aclose()


class LeaseHold:
    """A time that is renewed."""

    def __init__(self, guest: Calling, session: str, reason: str, number: int) -> None:
        self._guest = guest
        self._session = session
        self._reason = reason
        self._number = number

    async def wait_lost(self) -> str:
        """Renew it until that fails."""
        arguments = {"reason": self._reason, "seconds": LEASE_SECONDS, "id": self._number}
        try:
            while True:
                await anyio.sleep(RENEW_SECONDS)
                await self._guest.call("session-inhibit-idle", arguments, session=self._session)
        except (GuestmuxError, RemoteError) as error:
            return str(error)

    async def release(self) -> None:
        """End it."""
        with suppress(GuestmuxError, RemoteError):
            await self._guest.call("session-uninhibit-idle", id=self._number, session=self._session)


class IdleHold:
    """Holds, and holds again after what was lost.

    Args:
        guest: whose session.
        session: which.
        reason: shown to its user.
        wait: seconds to wait for the session's agent.
        timeout: seconds for each call.
        told: is given why nothing holds at the moment, and an empty text when it does again.
    """

    def __init__(
        self,
        guest: Calling,
        session: str,
        reason: str,
        wait: float | None,
        timeout: float | None,
        told: Callable[[str], None],
    ) -> None:
        self._guest = guest
        self._session = session
        self._reason = reason
        self._wait = wait
        self._timeout = timeout
        self._told = told
        self._hold: Hold | None = None

    async def begin(self) -> None:
        """Hold for the first time. Raises what `call` raises."""
        self._hold = await self._taken()

    async def keep(self) -> None:
        """Hold on, until cancelled."""
        backoff = Backoff()
        while True:
            if self._hold is not None:
                lost = await self._hold.wait_lost()
                self._hold = None
                self._told(lost)
            await anyio.sleep(backoff.next())
            with suppress(GuestmuxError, RemoteError):
                self._hold = await self._taken()
                backoff.reset()
                self._told("")

    async def end(self) -> None:
        """Let go; at most FAREWELL seconds."""
        hold, self._hold = self._hold, None
        if hold is not None:
            with anyio.move_on_after(FAREWELL, shield=True):
                await hold.release()

    async def _taken(self) -> Hold:
        if self._guest.has_streams:
            # Hosts are not shown streams of an agent that has no channel.
            with suppress(NoStreams, CommandNotFound):
                return StreamHold(
                    await self._guest.stream(
                        "session-hold-idle",
                        reason=self._reason,
                        session=self._session,
                        wait=self._wait,
                        timeout=self._timeout,
                    )
                )
        value = await self._guest.call(
            "session-inhibit-idle",
            {"reason": self._reason, "seconds": LEASE_SECONDS},
            session=self._session,
            wait=self._wait,
            timeout=self._timeout,
        )
        inhibited = read_as(Inhibited, "session-inhibit-idle", value)
        return LeaseHold(self._guest, self._session, self._reason, inhibited.id)
