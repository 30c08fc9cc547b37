"""session-logout, through logind."""

from __future__ import annotations

from guestmux_protocol.registry import Data
from guestmux_protocol.session_commands import SESSION, SessionLogoutCommand
from guestmux_session.declarations import command_of
from guestmux_session.explained import explained
from guestmux_session.logind import LoginSession
from guestmux_session.provider import Provider


class LogoutLogind(Provider):
    """Asks logind to end the session; where the agent is part of it, it ends as well."""

    name = "logout-logind"

    @command_of(SESSION["session-logout"])
    async def logout(self, _arguments: SessionLogoutCommand) -> Data:
        """End the session."""
        with explained("logind could not end the session"):
            session = await LoginSession.of(self._host)
            await session.ask("Terminate")
        return Data()
