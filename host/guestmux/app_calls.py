"""The applications of a session: those that run, and those that could."""

from __future__ import annotations

from collections.abc import Sequence

from guestmux.calling import Calling, read_as
from guestmux.calls import ACTIVE
from guestmux_protocol.installed_commands import InstalledApps
from guestmux_protocol.session_commands import AskedToClose, Launched, RunningApps


class AppCalls(Calling):
    """What is about applications.

    Sessions are a logind id, `active` or `user:NAME`; `wait` is seconds to wait for the session's agent, `timeout`
    seconds until a call is cancelled. An application's id is that of its desktop file, as `org.gnome.TextEditor`.
    """

    async def list_apps(
        self, session: str = ACTIVE, *, wait: float | None = None, timeout: float | None = None
    ) -> RunningApps:
        """The applications that run; arguments as for `lock`."""
        command = "session-list-apps"
        return read_as(
            RunningApps, command, await self.call(command, session=session, wait=wait, timeout=timeout)
        )

    async def installed_apps(
        self,
        session: str = ACTIVE,
        *,
        hidden: bool = False,
        mime_types: bool = False,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> InstalledApps:
        """The applications that the session's user could start: the system's, the user's own, Flatpaks and Snaps.

        Args:
            session: whose.
            hidden: those as well that no menu has.
            mime_types: have what each opens told.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.
        """
        command = "session-list-installed"
        asked = {"hidden": hidden, "mime-types": mime_types}
        value = await self.call(command, asked, session=session, wait=wait, timeout=timeout)
        return read_as(InstalledApps, command, value)

    async def launch(
        self,
        app_id: str | None = None,
        uris: Sequence[str] = (),
        *,
        session: str = ACTIVE,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> Launched:
        """Start an application, by the desktop's own launcher.

        Args:
            app_id: which; None: the one that the user chose for the URI.
            uris: what it is to open; exactly one where no application is named.
            session: in which session.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.
        """
        command = "session-launch"
        asked = {"uris": [*uris], **({} if app_id is None else {"app-id": app_id})}
        value = await self.call(command, asked, session=session, wait=wait, timeout=timeout)
        return read_as(Launched, command, value)

    async def focus_app(
        self,
        app_id: str,
        *,
        pid: int | None = None,
        session: str = ACTIVE,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Bring an application's window to the front, and give it the keyboard.

        Args:
            app_id: which.
            pid: which of several; the one that came last by default.
            session: in which session.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.
        """
        asked = _one_of(app_id, pid)
        await self.call("session-focus-app", asked, session=session, wait=wait, timeout=timeout)

    async def close_app(
        self,
        app_id: str,
        *,
        pid: int | None = None,
        session: str = ACTIVE,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> AskedToClose:
        """Ask an application to close all of its windows; it may ask the user back, and stay. As for `focus_app`."""
        command = "session-close-app"
        asked = _one_of(app_id, pid)
        value = await self.call(command, asked, session=session, wait=wait, timeout=timeout)
        return read_as(AskedToClose, command, value)


def _one_of(app_id: str, pid: int | None) -> dict[str, str | int]:
    return {"app-id": app_id} if pid is None else {"app-id": app_id, "pid": pid}
