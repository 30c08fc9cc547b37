"""Keeps the machine from what logind does when all are idle, and hosts from thinking that (systemd-inhibit(1))."""

from __future__ import annotations

import os

import anyio

from guestmux_session.desktop.inhibit_means import APPLICATION, Tell
from guestmux_session.errors import Disconnected
from guestmux_session.logind import CALL_TIMEOUT, LOGIN_NAME, LOGIN_PATH, MANAGER_INTERFACE
from guestmux_session.provider import ProviderHost
from guestmux_transport.errors import BusError


class LogindMeans:
    """An inhibitor lock for `idle`: logind then does not suspend, whatever the sessions say (IdleAction).

    Args:
        host: the agent.
    """

    name = "logind"

    def __init__(self, host: ProviderHost) -> None:
        self._host = host

    async def hold(self, reason: str, tell: Tell) -> None:
        """Hold the lock's descriptor, which outlives even a restart of logind."""
        try:
            reply = await self._host.bus.call(
                *(LOGIN_NAME, LOGIN_PATH, MANAGER_INTERFACE, "Inhibit"),
                *("ssss", ["idle", APPLICATION, reason, "block"]),
                timeout=CALL_TIMEOUT,
            )
        except (BusError, Disconnected) as error:
            tell("", str(error))
            return
        try:
            tell(*((self.name, "") if reply.fds else ("", "logind gave no lock")))
            await anyio.sleep_forever()
        finally:
            for fd in reply.fds:
                os.close(fd)
