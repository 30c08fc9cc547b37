"""eventd put together: the tables, the ports, the bus, and the one task group that runs them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import msgspec

from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.audit import Audit
from guestmux_eventd.backend import LinksWithBackend, QemuGaBackend
from guestmux_eventd.call_log import CallLog
from guestmux_eventd.changes import Changes
from guestmux_eventd.channel_links import ChannelLinks
from guestmux_eventd.claims import Claims
from guestmux_eventd.config import Config, PortConfig, backend_address
from guestmux_eventd.disclosure import Disclosure
from guestmux_eventd.disk_source import DiskSource
from guestmux_eventd.epochs import new_epoch
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_history import EventHistory
from guestmux_eventd.event_intake import NOT_AN_EVENT
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.generation_source import GenerationSource, open_kernel_log
from guestmux_eventd.host_connection import HostConnection
from guestmux_eventd.host_session import Dialect
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.journal.bounds import Bounds
from guestmux_eventd.journal.journal import Journal
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.links import BusLinks
from guestmux_eventd.login_source import LoginSource
from guestmux_eventd.manager import Manager
from guestmux_eventd.native import NativeCommands
from guestmux_eventd.network_source import NetworkSource, open_netlink
from guestmux_eventd.package_database import databases
from guestmux_eventd.package_source import PackageSource
from guestmux_eventd.policy import Policy
from guestmux_eventd.power_source import DELIVERY_PATIENCE, PowerSource
from guestmux_eventd.privacy import Privacy, whose_in
from guestmux_eventd.resumption import resume
from guestmux_eventd.router import Router
from guestmux_eventd.sent_record import SentRecord
from guestmux_eventd.session_table import Emission, SessionTable
from guestmux_eventd.stream_state import StreamState
from guestmux_eventd.systemd_source import SystemdSource
from guestmux_eventd.time_source import TimeSource
from guestmux_protocol.events import VERIFIED, SessionLogout
from guestmux_protocol.limits import Limits
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from guestmux_protocol.registry import Data
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_address import system_bus_address
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.clock_alarm import ClockAlarm
from guestmux_transport.errors import BusError, BusLost
from guestmux_transport.held_log import HeldLog
from guestmux_transport.port import Port, open_port

MACHINE_ID = Path("/etc/machine-id")
"""See machine-id(5)."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""See random(4). The service's sandbox hides it; its unit has it in BOOT_VARIABLE."""

BOOT_VARIABLE = "GUESTMUX_BOOT_ID"

BUS_RETRY = 0.5
"""Seconds between the first attempts to reach the bus again."""

MAX_BUS_RETRY = 10.0
"""Seconds between later ones."""

BUS_LIMITS = BusLimits(message_bytes=4 * 1024 * 1024)
"""A message is decoded in one go, by dbus-next at some 10 MB/s; any local user may send one, and the host waits."""

logger = logging.getLogger(__name__)


class Daemon:
    """The guest daemon.

    Args:
        config: the configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._sessions = SessionTable()
        self._claims = Claims(self._sessions, self._publish)
        self._privacy = Privacy(config.privacy, whose_in(self._sessions))
        self._agents = AgentTable()
        self._log = EventLog(
            new_epoch(), time.time, max_events=config.memory_events, max_bytes=config.memory_bytes
        )
        self._history = EventHistory(self._log, open_journal(config))
        self._hosts = Hosts()
        self._changes = Changes()
        self._links = BusLinks()
        address = backend_address(config)
        self._backend = QemuGaBackend(address, self._agents, self._changes) if address else None
        self._sent, calls = SentRecord(self._log), CallLog()
        self._disclosure = Disclosure(self._log, self._sessions, self._sent, calls)
        policy, gate, audit = Policy(config.policy), FreezeGate(), Audit(calls=calls)
        gate.watch(HeldLog().hold)
        gate.watch(self._history.follow_freeze)
        gate.before_freezing(self._history.pause)
        self._state = StreamState(self._history, self._agents, gate)
        self._natives = NativeCommands(
            self._sessions,
            self._agents,
            self._log,
            state=self._state,
            policy=policy,
            gate=gate,
            audit=audit,
            privacy=self._privacy,
            claims=self._claims,
        )
        links = ChannelLinks(self._links)
        self._router = Router(
            self._sessions,
            self._agents,
            LinksWithBackend(links, self._backend),
            self._changes,
            config.call_timeout,
            policy=policy,
            gate=gate,
            audit=audit,
            streams=links,
        )
        self._manager: Manager | None = None
        self._bus_tried = anyio.Event()
        self._hosts.watch(self._agents_may_care)

    async def run(self, ready: Callable[[], object]) -> None:
        """Serve until cancelled.

        Args:
            ready: called once the ports are being served and the bus was tried.

        Raises:
            OpenError: a port's inherited descriptor is unfit.
        """
        ports = [(port, open_port(port.parsed_address())) for port in self._config.port]
        try:
            await self._history.start()
            self._publish(resume(self._history.told, self._sessions, self._claims))
            async with anyio.create_task_group() as tasks:
                for config, port in ports:
                    tasks.start_soon(self._serve_port, config, port)
                tasks.start_soon(self._router.run)
                tasks.start_soon(self._keep_bus)
                tasks.start_soon(self._follow_network)
                tasks.start_soon(self._follow_clock)
                if (kernel_log := open_kernel_log(os.environ)) is not None:
                    tasks.start_soon(GenerationSource(kernel_log, self._history.renew).run)
                for database in databases():
                    tasks.start_soon(PackageSource(database, self._publish).run)
                if paths := self._config.disk_pressure:
                    disks = DiskSource(paths, self._config.disk_pressure_percent, self._publish)
                    tasks.start_soon(disks.run)
                if self._backend:
                    tasks.start_soon(self._backend.run)
                await self._bus_tried.wait()
                ready()
        finally:
            for _config, port in ports:
                port.close()
            self._claims.tell_now()
            with anyio.CancelScope(shield=True):
                await self._history.close()

    async def _serve_port(self, config: PortConfig, port: Port) -> None:
        async for pipe in port.connections():
            # Not louder: hosts such as Proxmox connect for each command.
            whence = {"guestmux_port": pipe.name}
            logger.debug("%s: a host connected, %s", pipe.name, config.dialect, extra=whence)
            dialect = partial(self._dialect, config)
            await HostConnection(pipe, dialect, self._natives, self._router, self._feed, self._hosts).run()
            logger.debug("%s: the host left", pipe.name, extra=whence)

    def _dialect(self, config: PortConfig) -> Dialect:
        limits = Limits(message_bytes=self._config.max_message)
        return QmpDialect(limits) if config.dialect == "qmp" else QgaDialect(limits)

    def _feed(self, port: str, dialect: str) -> EventFeed:
        return EventFeed(self._history, self._state, self._hosts, receiver=self._sent.to(port, dialect))

    async def _follow_network(self) -> None:
        try:
            await NetworkSource(open_netlink(os.environ), self._publish).run()
        except OSError as error:
            logger.warning("no NETWORK_CHANGED events: %s; is guestmux-netlink.socket there?", error.strerror)

    async def _follow_clock(self) -> None:
        try:
            alarm = ClockAlarm(TimeSource(self._publish).clock_was_set)
        except OSError as error:
            logger.warning("no TIME_CHANGED events: %s", error.strerror)
            return
        try:
            await anyio.sleep_forever()
        finally:
            alarm.close()

    async def _keep_bus(self) -> None:
        """Stay on the bus; the ports live on without it."""
        address = system_bus_address() if self._config.bus == "system" else self._config.bus
        delay, told = BUS_RETRY, ""
        while True:
            reason = ""
            try:
                async with connect_bus(address, limits=BUS_LIMITS) as bus:
                    await self._use_bus(bus)
                    delay, told = BUS_RETRY, ""
                    reason = f"the bus is lost: {bus.lost_reason}"
            except* BusError as group:
                reason = "; ".join(dict.fromkeys(_reason(error) for error in _leaves(group)))
            if reason != told:
                logger.error("%s; ports are still served, trying again", reason)
                told = reason
            self._bus_tried.set()
            await anyio.sleep(delay)
            delay = min(2 * delay, MAX_BUS_RETRY)

    async def _use_bus(self, bus: Bus) -> None:
        power = PowerSource(bus, self._announce)
        systemd = SystemdSource(bus, self._publish, unit_failures=self._config.unit_failures)
        logins = LoginSource(bus, self._sessions, self._claims.publish)
        manager = Manager(
            bus,
            self._agents,
            self._log,
            self._hosts,
            logins,
            self._sessions.ids,
            self._publish,
            self._config.emit_rate,
            self._privacy,
            self._disclosure,
            self._claims,
        )
        try:
            async with anyio.create_task_group() as tasks:
                await power.follow(tasks)
                await logins.start(tasks)
                tasks.start_soon(manager.run)
                await manager.start()
                self._links.bus, self._manager = bus, manager
                await power.hold()
                await systemd.start(tasks)
                logger.info("on the bus as %s, by %s", bus.unique_name, bus.library)
                self._bus_tried.set()
                await bus.wait_lost()
                tasks.cancel_scope.cancel()
        finally:
            power.close()
            logins.close()
            self._links.bus = self._manager = None
            manager.close()

    def _agents_may_care(self) -> None:
        if self._manager:
            self._manager.tell_changes()

    def _publish(self, emissions: list[Emission], source: str = VERIFIED) -> None:
        for name, data in emissions:
            self._append(name, data, source)
            if isinstance(data, SessionLogout) and self._manager:
                self._manager.session_ended(data.session)
        if emissions:
            self._changes.notify()
            self._agents_may_care()

    def _append(self, name: str, data: Data, source: str = VERIFIED) -> int:
        members = self._privacy.cut(name, msgspec.to_builtins(data))
        return NOT_AN_EVENT if members is None else self._log.append(name, members, source)

    async def _announce(self, name: str, data: Data) -> None:
        self._claims.tell_now()
        seq = self._append(name, data)
        if not await self._hosts.deliver(seq, DELIVERY_PATIENCE):
            logger.warning("%s: a host did not take it in time", name)


def open_journal(config: Config) -> Journal | None:
    """The journal on disk; None where there is to be none."""
    directory = config.journal_directory or os.environ.get("STATE_DIRECTORY", "")
    if not config.journal or not directory:
        return None
    bounds = Bounds(config.journal_events, config.journal_bytes, config.journal_days * 86_400)
    return Journal(JournalPlace(Path(directory), machine_id(), bounds, time.time), boot=boot_id())


def machine_id() -> str:
    """What tells this machine from its clones; empty where it has no such thing."""
    return _id_in(MACHINE_ID)


def boot_id() -> str:
    """What tells this boot of the machine from others; empty where that is not known."""
    return os.environ.get(BOOT_VARIABLE) or _id_in(BOOT_ID).replace("-", "")


def _id_in(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _reason(error: BusError) -> str:
    """Why the bus is not used; which call was under way when it went is of no interest."""
    return "the bus is lost" if isinstance(error, BusLost) else str(error)


def _leaves(group: BaseExceptionGroup[BusError]) -> Iterator[BusError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
