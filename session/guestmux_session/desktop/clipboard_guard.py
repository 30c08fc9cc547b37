"""When hosts may have what is in the clipboard."""

from __future__ import annotations

from guestmux_session.desktop.screensavers import ScreenSavers
from guestmux_session.errors import CommandError, Disconnected
from guestmux_session.logind import LoginSession
from guestmux_session.provider import ProviderHost
from guestmux_session.session_config import ClipboardPolicy
from guestmux_transport.errors import BusError


class ClipboardGuard:
    """Asks logind, and the screensavers, whether the user is there.

    Args:
        host: the agent.
        savers: the screensavers: not every locker tells logind.
        policy: what the guest's administrator allows.
    """

    def __init__(self, host: ProviderHost, savers: ScreenSavers, policy: ClipboardPolicy) -> None:
        self._host = host
        self._savers = savers
        self._policy = policy

    @property
    def allows_events(self) -> bool:
        """Whether changes may be told."""
        return self._policy != "never"

    async def check(self) -> None:
        """Raises CommandError where the clipboard is not to be touched now."""
        if self._policy == "always":
            return
        if self._policy == "never":
            raise CommandError("the clipboard is switched off by the guest's session-agent.toml")
        try:
            session = await LoginSession.of(self._host)
            locked, active = await session.get("LockedHint"), await session.get("Active")
        except (BusError, Disconnected) as error:
            raise CommandError(f"logind does not tell whether the session is locked: {error}") from error
        if locked is not False:
            raise CommandError("the session is locked: its clipboard is not for hosts until it is unlocked")
        if active is not True:
            raise CommandError(
                "the session is in the background: its clipboard is not for hosts until it is active"
            )
        if any((await self._savers.ask()).values()):
            raise CommandError(
                "the session's screensaver is active: its clipboard is not for hosts until it is not"
            )
