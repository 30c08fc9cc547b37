"""All checks, in the order in which one rests on another."""

from __future__ import annotations

from guestmux_eventd.config import Config
from guestmux_eventd.doctor import ports, service, sessions
from guestmux_eventd.doctor.backend import check_backend
from guestmux_eventd.doctor.bus import check_inhibitors, check_library, check_manager, owner_of
from guestmux_eventd.doctor.disks import check_disk_pressure
from guestmux_eventd.doctor.machine import Machine
from guestmux_eventd.login_manager import LOGIN_NAME
from guestmux_eventd.privacy_rules import BY_DEFAULT
from guestmux_protocol.addresses import Virtio
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_address import system_bus_address
from guestmux_transport.errors import BusError, BusUnavailable
from guestmux_transport.names import MANAGER_NAME

LOGIND = "systemctl status systemd-logind"

BUS_PATIENCE = 5.0
"""Seconds that the bus has to know us."""


async def examine(machine: Machine, config: Config | None, finding: Finding, bus: str) -> list[Finding]:
    """Look at everything.

    Args:
        machine: where.
        config: the configuration; None where it cannot be used.
        finding: what was found of the configuration.
        bus: a D-Bus address, or `system`.
    """
    findings = [service.check_version(), await service.check_packages(machine), finding]
    findings += [check_privacy(config)] if config else []
    findings += await check_disk_pressure(machine, config) if config else []
    findings += _look_at_ports(machine, config)
    findings += [await service.check_service(machine), service.check_process(machine)]
    if bus == "system":
        findings.append(service.check_policy(machine))
    findings += await _look_at_bus(machine, system_bus_address() if bus == "system" else bus)
    if unit := await sessions.check_user_unit(machine):
        findings.append(unit)
    return findings


def check_config(config: Config, path: str, *, exists: bool) -> Finding:
    """A configuration that is accepted."""
    where = f"{path} is accepted" if exists else f"there is no {path}"
    if not config.port:
        return problem(
            "configuration", f"{where}; no ports: no host can connect", f"add a [[port]] to {path}"
        )
    return ok("configuration", f"{where}; {len(config.port)} port{'s' if len(config.port) > 1 else ''}")


def check_privacy(config: Config) -> Finding:
    """What of events does not leave the guest."""
    by_default = [f"by default {rule.describe()}" for rule in BY_DEFAULT]
    return ok("privacy", " | ".join([*by_default, *(rule.describe() for rule in config.privacy)]))


def _look_at_ports(machine: Machine, config: Config | None) -> list[Finding]:
    if config is None:
        return [note("ports", "not known without a configuration")]
    findings = ports.check_ports(machine, config)
    if any(isinstance(port.parsed_address(), Virtio) for port in config.port):
        findings += [ports.check_udev_rule(machine), ports.check_stock_agent(machine)]
    return findings + check_backend(machine, config)


async def _look_at_bus(machine: Machine, address: str) -> list[Finding]:
    try:
        async with connect_bus(address, timeout=BUS_PATIENCE) as bus:
            findings = [ok("bus", f"reachable at {address}"), check_library(bus)]
            return findings + await _ask(machine, bus)
    except BusUnavailable as error:
        do = "is dbus running, and the address right? systemctl status dbus.socket"
        return [problem("bus", str(error), do)]


async def _ask(machine: Machine, bus: Bus) -> list[Finding]:
    try:
        owner = await owner_of(bus, MANAGER_NAME)
        return await check_manager(bus, owner) + await _ask_logind(machine, bus, owner)
    except BusError as error:
        return [problem("bus", f"it does not answer: {error}", "systemctl status dbus")]


async def _ask_logind(machine: Machine, bus: Bus, owner: str | None) -> list[Finding]:
    if await owner_of(bus, LOGIN_NAME) is None:
        return [problem("logind", f"nobody owns {LOGIN_NAME}: no sessions, no events of them", LOGIND)]
    try:
        logged_in = await sessions.user_sessions(bus, machine)
        inhibitors = [await check_inhibitors(bus, owner)] if owner else []
    except BusError as error:
        return [problem("logind", f"it does not answer: {error}", LOGIND)]
    agents = await sessions.check_agents(machine, bus, owner, logged_in) if owner else []
    return [ok("logind", "reachable"), *inhibitors, *agents]
