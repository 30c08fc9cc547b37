"""Copies, and connections into the guest, for scripts without async."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal

from guestmux import guest as asynchronous
from guestmux.blocking_stream import GuestStream
from guestmux.copying import CopyReport, CopyWatcher
from guestmux.forwarding import Forwarding

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class TransferCalls(ABC):
    """Every method raises what the one of `guestmux.Guest` raises. Watchers are called in the guest's thread."""

    _portal: BlockingPortal
    _guest: asynchronous.Guest

    @abstractmethod
    def _wait_for(
        self,
        function: Callable[Parameters, Awaitable[Result]],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run it and wait for its result."""

    def download(
        self,
        path: str | bytes,
        local: str | bytes | os.PathLike[str],
        *,
        recursive: bool = False,
        preserve: bool = False,
        resume: bool = False,
        checksum: bool = True,
        sparse: bool = True,
        into: bool = False,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        watcher: CopyWatcher | None = None,
    ) -> CopyReport:
        """Copy a file or a directory of the guest to this host; see `guestmux.Guest.download`."""
        return self._wait_for(
            self._guest.download,
            path,
            local,
            recursive=recursive,
            preserve=preserve,
            resume=resume,
            checksum=checksum,
            sparse=sparse,
            into=into,
            session=session,
            wait=wait,
            timeout=timeout,
            watcher=watcher,
        )

    def upload(
        self,
        local: str | bytes | os.PathLike[str],
        path: str | bytes,
        *,
        recursive: bool = False,
        preserve: bool = False,
        resume: bool = False,
        checksum: bool = True,
        sparse: bool = True,
        into: bool = False,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        watcher: CopyWatcher | None = None,
    ) -> CopyReport:
        """Copy a file or a directory of this host to the guest; see `guestmux.Guest.upload`."""
        return self._wait_for(
            self._guest.upload,
            local,
            path,
            recursive=recursive,
            preserve=preserve,
            resume=resume,
            checksum=checksum,
            sparse=sparse,
            into=into,
            session=session,
            wait=wait,
            timeout=timeout,
            watcher=watcher,
        )

    def dial(
        self,
        remote: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> GuestStream:
        """Connect to a socket in the guest; see `guestmux.Guest.dial`."""
        stream = self._wait_for(self._guest.dial, remote, session=session, wait=wait, timeout=timeout)
        return GuestStream(self._portal, stream)

    def forward(
        self,
        local: str,
        remote: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> AbstractContextManager[Forwarding]:
        """Connect whoever comes to a socket of this host to one in the guest, for as long as the block runs."""
        forwarding = self._guest.forward(
            local, remote, session=session, wait=wait, timeout=timeout, on_failure=on_failure
        )
        return self._portal.wrap_async_context_manager(forwarding)
