"""Files, processes, facts, freezing and power, for scripts without async."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal

from guestmux import guest as asynchronous
from guestmux.blocking_file import GuestFile
from guestmux.blocking_process import Process
from guestmux.freeze_calls import FREEZE_TIMEOUT, THAW_TIMEOUT, TRIM_TIMEOUT
from guestmux.power_calls import GONE_TIMEOUT, ShutdownMode, SuspendMode
from guestmux.process import Completed, TerminalSize
from guestmux_protocol.guest.facts import GuestLoadAverage, GuestOSInfo, GuestTimezone
from guestmux_protocol.guest.freeze import FreezeStatus, GuestFilesystemTrimResult
from guestmux_protocol.guest.network import GuestNetworkInterface
from guestmux_protocol.guest.storage import GuestFilesystemInfo

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class GuestCalls(ABC):
    """What qemu-ga does as well; every method raises what the one of `guestmux.Guest` raises."""

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

    def open_file(
        self,
        path: str,
        mode: str = "r",
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> GuestFile:
        """Open a file; see `guestmux.Guest.open_file`."""
        opened = self._wait_for(
            self._guest.open_file, path, mode, session=session, wait=wait, timeout=timeout
        )
        return GuestFile(self._portal, opened)

    def read_file(
        self,
        path: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The content of a file."""
        return self._wait_for(self._guest.read_file, path, session=session, wait=wait, timeout=timeout)

    def write_file(
        self,
        path: str,
        data: bytes,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Make or replace a file's content, in place."""
        self._wait_for(self._guest.write_file, path, data, session=session, wait=wait, timeout=timeout)

    def exec(
        self,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        terminal: TerminalSize | None = None,
        live: bool | None = None,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> Process:
        """Start a process; see `guestmux.Guest.exec`."""
        process = self._wait_for(
            self._guest.exec,
            command,
            stdin=stdin,
            env=env,
            cwd=cwd,
            terminal=terminal,
            live=live,
            session=session,
            wait=wait,
            timeout=timeout,
        )
        return Process(self._portal, process)

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run a process to its end, and give all that it wrote."""
        return self._wait_for(
            self._guest.run,
            command,
            stdin=stdin,
            env=env,
            cwd=cwd,
            session=session,
            wait=wait,
            timeout=timeout,
        )

    def os_info(self, *, timeout: float | None = None) -> GuestOSInfo:
        """The kernel and the distribution."""
        return self._wait_for(self._guest.os_info, timeout=timeout)

    def host_name(self, *, timeout: float | None = None) -> str:
        """The guest's own name for itself."""
        return self._wait_for(self._guest.host_name, timeout=timeout)

    def timezone(self, *, timeout: float | None = None) -> GuestTimezone:
        """The guest's time zone."""
        return self._wait_for(self._guest.timezone, timeout=timeout)

    def time(self, *, timeout: float | None = None) -> int:
        """The guest's clock: nanoseconds since the epoch."""
        return self._wait_for(self._guest.time, timeout=timeout)

    def load(self, *, timeout: float | None = None) -> GuestLoadAverage:
        """The load average."""
        return self._wait_for(self._guest.load, timeout=timeout)

    def network_interfaces(self, *, timeout: float | None = None) -> list[GuestNetworkInterface]:
        """The network interfaces with their addresses."""
        return self._wait_for(self._guest.network_interfaces, timeout=timeout)

    def filesystems(self, *, timeout: float | None = None) -> list[GuestFilesystemInfo]:
        """The mounted file systems that lie on block devices."""
        return self._wait_for(self._guest.filesystems, timeout=timeout)

    def freeze_status(self, *, timeout: float | None = None) -> FreezeStatus:
        """`frozen` or `thawed`."""
        return self._wait_for(self._guest.freeze_status, timeout=timeout)

    def freeze(self, mountpoints: Sequence[str] = (), *, timeout: float = FREEZE_TIMEOUT) -> int:
        """Freeze file systems until `thaw`; gives how many are frozen."""
        return self._wait_for(self._guest.freeze, mountpoints, timeout=timeout)

    def thaw(self, *, timeout: float = THAW_TIMEOUT) -> int:
        """Thaw every frozen file system; gives how many were."""
        return self._wait_for(self._guest.thaw, timeout=timeout)

    def frozen(
        self,
        mountpoints: Sequence[str] = (),
        *,
        timeout: float = FREEZE_TIMEOUT,
        thaw_timeout: float = THAW_TIMEOUT,
    ) -> AbstractContextManager[int]:
        """Keep file systems frozen for as long as the block runs, and thaw them on every way out of it."""
        frozen = self._guest.frozen(mountpoints, timeout=timeout, thaw_timeout=thaw_timeout)
        return self._portal.wrap_async_context_manager(frozen)

    def trim(
        self, minimum: int | None = None, *, timeout: float = TRIM_TIMEOUT
    ) -> list[GuestFilesystemTrimResult]:
        """Hand unused blocks back to the host, and tell for each file system how much."""
        return self._wait_for(self._guest.trim, minimum, timeout=timeout)

    def shutdown(
        self, mode: ShutdownMode = "powerdown", *, until_gone: bool = True, timeout: float = GONE_TIMEOUT
    ) -> None:
        """Shut the guest down in an orderly way; see `guestmux.Guest.shutdown`."""
        self._wait_for(self._guest.shutdown, mode, until_gone=until_gone, timeout=timeout)

    def reboot(self, *, until_gone: bool = True, timeout: float = GONE_TIMEOUT) -> None:
        """Reboot the guest."""
        self._wait_for(self._guest.reboot, until_gone=until_gone, timeout=timeout)

    def suspend(
        self, mode: SuspendMode = "ram", *, until_gone: bool = True, timeout: float = GONE_TIMEOUT
    ) -> None:
        """Put the guest to sleep; see `guestmux.Guest.suspend`."""
        self._wait_for(self._guest.suspend, mode, until_gone=until_gone, timeout=timeout)
