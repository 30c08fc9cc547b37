"""Files in the guest."""

from __future__ import annotations

from guestmux.calling import Calling, read_as
from guestmux.file import GuestFile


class FileCalls(Calling):
    """Opens files. Without a session the system agent does it, with one that session's agent, as its user."""

    async def open_file(
        self,
        path: str,
        mode: str = "r",
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> GuestFile:
        """Open a file: `async with await guest.open_file("/etc/hostname") as file`.

        Args:
            path: full path in the guest.
            mode: as fopen(3) has it; bytes in any case.
            session: whose agent opens it: a logind id, `active` or `user:NAME`.
            wait: seconds to wait for that agent to register.
            timeout: seconds for the opening, and for each piece that is read or written.
        """
        value = await self.call(
            "guest-file-open", path=path, mode=mode, session=session, wait=wait, timeout=timeout
        )
        return GuestFile(self, path, read_as(int, "guest-file-open", value), timeout)

    async def read_file(
        self,
        path: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The content of a file; arguments as for `open_file`."""
        async with await self.open_file(path, session=session, wait=wait, timeout=timeout) as file:
            return await file.read()

    async def write_file(
        self,
        path: str,
        data: bytes,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Make or replace a file's content, in place: when it fails half-way the file is incomplete.

        Arguments as for `open_file`.
        """
        async with await self.open_file(path, "w", session=session, wait=wait, timeout=timeout) as file:
            await file.write(data)
