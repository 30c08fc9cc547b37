"""Who may do what: in place of polkit, root and the stand-in's own user may do all, a user what is his."""

from __future__ import annotations

import os

from guestmux.demo.standin_logind import names
from guestmux_transport.bus import Bus, Credentials
from guestmux_transport.bus_exports import IncomingCall
from guestmux_transport.errors import CallError, MethodError


class Authority:
    """Checks callers by what the bus says of them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._masters = frozenset({0, os.getuid()})

    async def caller(self, call: IncomingCall) -> Credentials:
        """Who calls.

        Raises:
            MethodError: he left meanwhile.
        """
        try:
            credentials = await self._bus.credentials(call.sender)
        except CallError as error:
            raise MethodError(names.ACCESS_DENIED, "the caller has left the bus") from error
        if credentials.pidfd is not None:
            os.close(credentials.pidfd)
        return credentials

    async def check(self, call: IncomingCall, owner: int | None = None) -> None:
        """Let masters and the owner pass, where polkit would ask others for a password.

        Args:
            call: the call.
            owner: the uid whose own the matter is, if anybody's.

        Raises:
            MethodError: the caller is neither.
        """
        if not await self._may(call, owner):
            text = "Interactive authentication required."
            raise MethodError(names.INTERACTIVE_AUTHORIZATION_REQUIRED, text)

    async def check_hint(self, call: IncomingCall, owner: int, hint: str) -> None:
        """Let a session's owner set a hint of it; polkit is not asked for that.

        Raises:
            MethodError: the caller is somebody else.
        """
        if not await self._may(call, owner):
            raise MethodError(names.ACCESS_DENIED, f"Only owner of session may set {hint} hint")

    async def _may(self, call: IncomingCall, owner: int | None) -> bool:
        uid = (await self.caller(call)).uid
        return uid == owner or uid in self._masters
