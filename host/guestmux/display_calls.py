"""The displays of a session."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from guestmux.calling import Calling, read_as
from guestmux.calls import ACTIVE
from guestmux_protocol.display_commands import Displays, DisplaySetting, DisplaysSet


class DisplayCalls(Calling):
    """What is about displays. Sessions are a logind id, `active` or `user:NAME`."""

    async def displays(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> Displays:
        """The session's displays, and the modes that they have; arguments as for `lock`."""
        command = "session-list-displays"
        return read_as(
            Displays, command, await self.call(command, session=session, wait=wait, timeout=timeout)
        )

    async def set_displays(
        self,
        settings: Sequence[DisplaySetting],
        session: str = ACTIVE,
        *,
        test: bool = False,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> DisplaysSet:
        """Set displays, all as asked or none.

        Args:
            settings: what is to be different, as `DisplaySetting(name="Virtual-1", width=1920, height=1080)`.
            session: whose.
            test: only find out whether it could be.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.

        Returns:
            all displays, as they are afterwards.

        Raises:
            CommandFailed: the display server does not take it; nothing has changed.
        """
        command = "session-set-displays"
        asked = {"displays": msgspec.to_builtins([*settings]), "test": test}
        value = await self.call(command, asked, session=session, wait=wait, timeout=timeout)
        return read_as(DisplaysSet, command, value)
