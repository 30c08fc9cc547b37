"""The known commands as typed methods, on top of one untyped `call`."""

from __future__ import annotations

from guestmux.calling import Calling, read_as
from guestmux.schema import GuestSchema
from guestmux_protocol.commands import GuestAgentInfo, GuestUser
from guestmux_protocol.idle_commands import IdleState
from guestmux_protocol.session_commands import LockState, SessionInfo
from guestmux_protocol.sessions import Session

ACTIVE = "active"
"""The session in the foreground of seat0."""


class Calls(Calling):
    """What can be asked of a guest. Every method raises what `call` raises, and UnexpectedReply."""

    async def ping(self, *, timeout: float | None = None) -> None:
        """Ask eventd for a sign of life."""
        await self.call("guest-ping", timeout=timeout)

    async def info(self, *, timeout: float | None = None) -> GuestAgentInfo:
        """The agent's version and the commands that it takes now."""
        return read_as(GuestAgentInfo, "guest-info", await self.call("guest-info", timeout=timeout))

    async def sessions(self, *, timeout: float | None = None) -> list[Session]:
        """Every session of logind, each with the agents registered in it."""
        value = await self.call("guest-get-sessions", timeout=timeout)
        return read_as(list[Session], "guest-get-sessions", value)

    async def users(self, *, timeout: float | None = None) -> list[GuestUser]:
        """The logged-in users, each with his earliest login."""
        return read_as(
            list[GuestUser], "guest-get-users", await self.call("guest-get-users", timeout=timeout)
        )

    async def schema(self, *, timeout: float | None = None) -> GuestSchema:
        """Every command and event of the guest with its types, those that agents declared included."""
        return GuestSchema.read(await self.call("guest-query-schema", timeout=timeout))

    async def lock(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> LockState:
        """Lock a session's screen.

        Args:
            session: a logind id, `active` or `user:NAME`.
            wait: seconds to wait for the session's agent to register.
            timeout: seconds until the call is cancelled.
        """
        return await self._lock_state("session-lock", session, wait, timeout)

    async def unlock(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> LockState:
        """Unlock a session's screen; arguments as for `lock`."""
        return await self._lock_state("session-unlock", session, wait, timeout)

    async def idle(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> IdleState:
        """For how long nobody has used a session; arguments as for `lock`."""
        value = await self.call("session-get-idle", session=session, wait=wait, timeout=timeout)
        return read_as(IdleState, "session-get-idle", value)

    async def logout(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> None:
        """End a session; what is unsaved in it is lost. Arguments as for `lock`."""
        await self.call("session-logout", session=session, wait=wait, timeout=timeout)

    async def session_info(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> SessionInfo:
        """The session as its agent sees it; arguments as for `lock`."""
        value = await self.call("session-get-info", session=session, wait=wait, timeout=timeout)
        return read_as(SessionInfo, "session-get-info", value)

    async def _lock_state(
        self, command: str, session: str, wait: float | None, timeout: float | None
    ) -> LockState:
        return read_as(
            LockState, command, await self.call(command, session=session, wait=wait, timeout=timeout)
        )
