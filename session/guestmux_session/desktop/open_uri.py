"""session-open-uri: a URI to the application that the user has chosen for its scheme."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote

from msgspec import UNSET

from guestmux_protocol.uri_commands import URIS, OpenedUri, SessionOpenUri
from guestmux_session.declarations import command_of
from guestmux_session.desktop.launcher import Launcher
from guestmux_session.desktop.portal import NoPortal, open_by_portal
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.errors import CommandError

EVERY_SCHEME = "*"

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):\S+")
_LOCAL_FILE = re.compile(r"file://(?:localhost)?/.*", re.IGNORECASE)
_ATTACHMENT = re.compile(r"[?&;]attach[a-z]*=", re.IGNORECASE)
"""What some mail programs take a file's name by, out of RFC 6068: a host could have a user send a file unseen. To
Evolution `&amp;` is what `&` is."""


class OpenUri:
    """Serves the command.

    Args:
        launcher: starts applications.
        manager: has the session bus.
        schemes: what may be opened, in lower case; EVERY_SCHEME for any.
    """

    def __init__(self, launcher: Launcher, manager: UserManager, schemes: Collection[str]) -> None:
        self._launcher = launcher
        self._manager = manager
        self._schemes = schemes

    @command_of(URIS["session-open-uri"])
    async def open_uri(self, asked: SessionOpenUri) -> OpenedUri:
        """Open it."""
        scheme = self._allowed_scheme(asked.uri)
        if asked.app_id is not UNSET:
            by = await self._launcher.open_with(asked.app_id, asked.uri, scheme)
            return OpenedUri(by=by, confirmed=True)
        if scheme != "file" and self._manager.bus is not None:
            # The portal takes files by descriptor alone, which asks for more than a name says.
            try:
                confirmed = await open_by_portal(self._manager.bus, asked.uri)
                return OpenedUri(by="portal", confirmed=confirmed)
            except NoPortal:
                pass
        return OpenedUri(by=await self._launcher.open_uri(asked.uri), confirmed=True)

    def _allowed_scheme(self, untrusted_uri: str) -> str:
        """Raises CommandError where it is no URI, or none for hosts to have opened."""
        found = _URI.fullmatch(untrusted_uri)
        if found is None or not untrusted_uri.isprintable():
            raise CommandError(f"{untrusted_uri[:100]!r} is no URI; a file's is file:///path")
        scheme = found[1].lower()
        if EVERY_SCHEME not in self._schemes and scheme not in self._schemes:
            allowed = ", ".join(sorted(self._schemes)) or "none"
            raise CommandError(
                f"hosts may not have '{scheme[:100]}' opened; by the guest's session-agent.toml they may have {allowed}"
            )
        if scheme == "file" and not _LOCAL_FILE.fullmatch(untrusted_uri):
            raise CommandError("a file's URI is file:///path, of this guest")
        if scheme == "mailto" and _ATTACHMENT.search(unquote(untrusted_uri)):
            raise CommandError("a mail that a host begins has no attachments")
        return scheme
