"""What the guest is, by its own account."""

from __future__ import annotations

from guestmux.calling import Calling, read_as
from guestmux_protocol.guest.facts import GuestHostName, GuestLoadAverage, GuestOSInfo, GuestTimezone
from guestmux_protocol.guest.network import GuestNetworkInterface
from guestmux_protocol.guest.storage import GuestFilesystemInfo


class FactCalls(Calling):
    """Asks for facts. Every method raises what `call` raises, and UnexpectedReply."""

    async def os_info(self, *, timeout: float | None = None) -> GuestOSInfo:
        """The kernel and the distribution."""
        value = await self.call("guest-get-osinfo", timeout=timeout)
        return read_as(GuestOSInfo, "guest-get-osinfo", value)

    async def host_name(self, *, timeout: float | None = None) -> str:
        """The guest's own name for itself."""
        value = await self.call("guest-get-host-name", timeout=timeout)
        return read_as(GuestHostName, "guest-get-host-name", value).host_name

    async def timezone(self, *, timeout: float | None = None) -> GuestTimezone:
        """The guest's time zone."""
        value = await self.call("guest-get-timezone", timeout=timeout)
        return read_as(GuestTimezone, "guest-get-timezone", value)

    async def time(self, *, timeout: float | None = None) -> int:
        """The guest's clock: nanoseconds since the epoch."""
        return read_as(int, "guest-get-time", await self.call("guest-get-time", timeout=timeout))

    async def load(self, *, timeout: float | None = None) -> GuestLoadAverage:
        """The load average; a qemu-ga before 10.0 does not know it."""
        value = await self.call("guest-get-load", timeout=timeout)
        return read_as(GuestLoadAverage, "guest-get-load", value)

    async def network_interfaces(self, *, timeout: float | None = None) -> list[GuestNetworkInterface]:
        """The network interfaces with their addresses."""
        value = await self.call("guest-network-get-interfaces", timeout=timeout)
        return read_as(list[GuestNetworkInterface], "guest-network-get-interfaces", value)

    async def filesystems(self, *, timeout: float | None = None) -> list[GuestFilesystemInfo]:
        """The mounted file systems that lie on block devices."""
        value = await self.call("guest-get-fsinfo", timeout=timeout)
        return read_as(list[GuestFilesystemInfo], "guest-get-fsinfo", value)
