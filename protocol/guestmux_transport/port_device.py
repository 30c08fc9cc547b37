"""The ports `device:PATH` and `virtio:NAME`: a character device that stays open while hosts come and go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from guestmux_protocol.addresses import PortAddress
from guestmux_transport.device_hosts import DeviceHosts
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import OpenError, open_error
from guestmux_transport.reopening import ReopeningPort, Sleep


class DevicePort(ReopeningPort):
    """One character device.

    A pipe that is closed on our side while its host stays is followed by a new one for the same host, which
    cannot be made to leave.

    Args:
        address: the port's address.
        open_device: opens the device and gives its descriptor, or raises OpenError.
        opens_again: whether `open_device` may be called again; else the port ends with its descriptor.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        address: PortAddress,
        open_device: Callable[[], int],
        *,
        opens_again: bool = True,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(address, sleep=sleep)
        self._open_device = open_device
        self._opens_again = opens_again
        self._hosts: DeviceHosts | None = None
        self._early: int | None = None

    def open_now(self) -> None:
        """Open the device before connections() is asked for, so that what fails is raised instead of tried again.

        Raises:
            OpenError: it cannot be had now.
        """
        self._early = self._open_device()

    async def _next_host(self) -> Pipe | None:
        hosts = self._hosts or self._open()
        while not self._closed:
            if (pipe := hosts.take()) is not None:
                return pipe
            if hosts.dead:
                self._die()
                return None
            if hosts.must_restart:
                await self._back_off()
                self._restart(hosts)
            else:
                await self._wait_change()
        return None

    def _die(self) -> None:
        """Let go of the device.

        Raises:
            OpenError: it can be opened again, after a pause.
        """
        self._release()
        text = f"{self.address}: the other side closed the device, or it was unplugged"
        if self._opens_again:
            raise OpenError(text)
        self._report(text)

    def _restart(self, hosts: DeviceHosts) -> None:
        # During the pause the host may have left, or the port may have been closed.
        if hosts.must_restart and not self._closed:
            hosts.restart()

    def _release(self) -> None:
        if self._hosts is not None:
            self._hosts.close()
            self._hosts = None
        if self._early is not None:
            os.close(self._early)
            self._early = None

    def _open(self) -> DeviceHosts:
        fd, self._early = self._early if self._early is not None else self._open_device(), None
        try:
            self._hosts = hosts = DeviceHosts(str(self.address), fd, self._changed.set)
        except OSError as error:
            os.close(fd)
            raise open_error(self.address, error) from error
        self._opened()
        return hosts
