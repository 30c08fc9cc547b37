"""What a session's desktop does for a host: it opens URIs, and stays awake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from guestmux.calling import Calling, read_as
from guestmux.calls import ACTIVE
from guestmux.idle_hold import IdleHold
from guestmux_protocol.inhibit_commands import Inhibited, Inhibitor
from guestmux_protocol.uri_commands import OpenedUri


class DesktopCalls(Calling):
    """What is about the desktop as a whole. Every method raises what `call` raises, and UnexpectedReply.

    Sessions are a logind id, `active` or `user:NAME`; `wait` is seconds to wait for the session's agent.
    """

    async def open_uri(
        self,
        uri: str,
        session: str = ACTIVE,
        *,
        app_id: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> OpenedUri:
        """Open a URI with the application that the user has chosen for it.

        Args:
            uri: as `https://example.org/`; its scheme must be one that the guest's administrator allows.
            session: whose desktop.
            app_id: the desktop file's id of another application that says it is for such URIs.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.
        """
        arguments = {"uri": uri} if app_id is None else {"uri": uri, "app-id": app_id}
        value = await self.call("session-open-uri", arguments, session=session, wait=wait, timeout=timeout)
        return read_as(OpenedUri, "session-open-uri", value)

    async def inhibit_idle(
        self,
        reason: str,
        session: str = ACTIVE,
        *,
        seconds: float = 3600.0,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> Inhibited:
        """Keep a session from going idle until `uninhibit_idle`, or until the time is over, whatever becomes of us.

        Args:
            reason: shown to the session's user.
            session: which.
            seconds: how long; a day at most.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.
        """
        arguments = {"reason": reason, "seconds": seconds}
        value = await self.call(
            "session-inhibit-idle", arguments, session=session, wait=wait, timeout=timeout
        )
        return read_as(Inhibited, "session-inhibit-idle", value)

    async def uninhibit_idle(
        self,
        number: int,
        session: str = ACTIVE,
        *,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """End what `inhibit_idle` began; `number` is its `id`."""
        await self.call("session-uninhibit-idle", id=number, session=session, wait=wait, timeout=timeout)

    async def idle_inhibitors(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> list[Inhibitor]:
        """What hosts keep a session from going idle by."""
        value = await self.call("session-list-inhibitors", session=session, wait=wait, timeout=timeout)
        return read_as(list[Inhibitor], "session-list-inhibitors", value)

    @asynccontextmanager
    async def idle_inhibited(
        self,
        reason: str,
        session: str = ACTIVE,
        *,
        told: Callable[[str], None] = lambda _text: None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[None]:
        """Keep a session from going idle for as long as the block lasts, and this host is there.

        When the connection is lost the guest lets go, at once where the port has streams, else within 90 seconds; when
        it is back the session is held again.

        Args:
            reason: shown to the session's user.
            session: which.
            told: is given why it is not held at the moment, and an empty text when it is again.
            wait: see `lock`.
            timeout: seconds for each call.
        """
        hold = IdleHold(self, session, reason, wait, timeout, told)
        await hold.begin()
        keeping = asyncio.create_task(hold.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await hold.end()
