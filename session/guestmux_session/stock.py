"""The stock agent: the SDK with the providers that the platform has."""

from __future__ import annotations

import logging

import anyio

from guestmux_protocol.events import (
    EVENTS,
    AppExited,
    AppFocused,
    AppStarted,
    ClipboardChanged,
    DisplayChanged,
    NotificationAction,
    NotificationClosed,
    PackagesChanged,
)
from guestmux_protocol.patterns import EventFilter
from guestmux_protocol.version import VERSION
from guestmux_session.agent import SYSTEM_BUS, Agent
from guestmux_session.bus_service import BusService
from guestmux_session.desktop.desktop import DesktopProviders
from guestmux_session.events import KnownEvent
from guestmux_session.info_environment import InfoEnvironment
from guestmux_session.lock_logind import LockLogind
from guestmux_session.logind import LOGIN_NAME
from guestmux_session.logout_logind import LogoutLogind
from guestmux_session.notify_freedesktop import NotifyFreedesktop
from guestmux_session.provider import OK, Provider
from guestmux_session.pushed.place import user_place
from guestmux_session.pushed.pushed_agents import PushedAgents
from guestmux_session.session_bus import SessionBus, SessionBusUser
from guestmux_session.session_config import DEFAULTS, SessionConfig
from guestmux_session.verbs.sets import close_all, forget_all, session_verbs
from guestmux_session.verbs.surroundings_session import SessionSurroundings
from guestmux_transport.bus import Bus
from guestmux_transport.bus_address import session_bus_address

logger = logging.getLogger(__name__)


class SessionAgent(Agent):
    """guestmux-session. What the platform lacks is left out, and comes in when the platform gets it.

    Beside the session's own commands it serves files, processes and facts, as its user may.

    Args:
        bus: the system bus's address, or "system".
        session: a claim, as in `Agent`.
        session_bus: the session bus's address; the user's own where empty.
        config: what the guest's administrator allows.
    """

    name = "guestmux-session"
    version = VERSION

    app_started = KnownEvent(EVENTS["APP_STARTED"], AppStarted)
    app_exited = KnownEvent(EVENTS["APP_EXITED"], AppExited)
    app_focused = KnownEvent(EVENTS["APP_FOCUSED"], AppFocused)
    clipboard_changed = KnownEvent(EVENTS["CLIPBOARD_CHANGED"], ClipboardChanged)
    display_changed = KnownEvent(EVENTS["DISPLAY_CHANGED"], DisplayChanged)
    notification_action = KnownEvent(EVENTS["NOTIFICATION_ACTION"], NotificationAction)
    notification_closed = KnownEvent(EVENTS["NOTIFICATION_CLOSED"], NotificationClosed)
    packages_changed = KnownEvent(EVENTS["PACKAGES_CHANGED"], PackagesChanged)

    def __init__(
        self,
        *,
        bus: str = SYSTEM_BUS,
        session: str = "",
        session_bus: str = "",
        config: SessionConfig = DEFAULTS,
    ) -> None:
        super().__init__(bus=bus, session=session)
        self._states: dict[str, str] = {}
        self._left = EventFilter(config.left_to_others)
        self._notify = NotifyFreedesktop(self)
        surroundings = SessionSurroundings()
        self._desktop = DesktopProviders(self, surroundings, config)
        desktop = self._desktop
        savers = desktop.presence.savers
        self._with_logind = (LockLogind(self, savers), LogoutLogind(self))
        users: list[SessionBusUser] = [self._notify, surroundings, desktop.manager, savers]
        self._session_bus = SessionBus(session_bus or session_bus_address(), users)
        self._verbs = session_verbs(surroundings)
        self._pushed = PushedAgents(user_place(), config.pushed_agents)
        parts = [*desktop.parts, self._pushed]
        for part in [*self._verbs, *parts]:
            self.provide(part, only=self._is_ours)
        self.settle(InfoEnvironment(self, lambda: surroundings.environment(None)), "")

    @property
    def states(self) -> dict[str, str]:
        """Every provider: `ok`, the source that it has chosen, or what the platform lacks."""
        return self._states

    def wanted(self, event: str) -> bool:
        """Whether a host subscribed to an event that is this agent's to tell."""
        return self._is_ours(event) and super().wanted(event)

    async def until_wanted(self, *events: str) -> None:
        """Wait until a host has subscribed to one of these that are this agent's; for ever where none is."""
        await super().until_wanted(*filter(self._is_ours, events))

    async def until_unwanted(self, *events: str) -> None:
        """Wait until no host wants any of these from this agent any more."""
        await super().until_unwanted(*filter(self._is_ours, events))

    async def look(self) -> None:
        """Find out what the desktop's providers have chosen; between two looks nobody watches that."""
        self._states |= await self._desktop.states()

    async def while_registered(self) -> None:
        """Watch what hosts want to know of, and tell them."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._desktop.run)
            group.start_soon(self._notify.news.run)

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._session_bus.run)
                group.start_soon(self._desktop.keep)
                group.start_soon(self._desktop.presence.keep)
                group.start_soon(self._pushed.recover)
                await super().run()
        finally:
            close_all(self._verbs)

    async def connected(self, bus: Bus) -> None:
        """See what there is before the first registration, so that there need not be a second."""
        self._pushed.attach(bus)
        logind = BusService(bus, LOGIN_NAME, lambda: self._settle_logind(logind))
        await logind.start()
        self._settle_logind(logind)
        await self._session_bus.settled()

    async def released(self, reason: str) -> None:
        """What hosts left open, the next eventd knows nothing of."""
        del reason
        forget_all(self._verbs)

    def settle(self, provider: Provider, lack: str) -> None:
        """Offer a provider's commands, or leave them out.

        Args:
            provider: which.
            lack: what the platform lacks for it; empty for nothing.
        """
        before, now = self._states.get(provider.name), lack or OK
        if before == now:
            return
        self._states[provider.name] = now
        logger.info("%s: %s", provider.name, f"left out: {lack}" if lack else OK)
        if now == OK:
            self.provide(provider, only=self._is_ours)
        elif before == OK:
            self.withdraw(provider)

    def _is_ours(self, name: str) -> bool:
        return name not in self._left

    def _settle_logind(self, logind: BusService) -> None:
        for provider in self._with_logind:
            self.settle(provider, logind.lack)
