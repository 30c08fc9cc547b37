"""eventd's configuration: eventd.toml, overridden by the command line. A file written wrongly refuses to start."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from guestmux_eventd.journal.bounds import MIN_BYTES
from guestmux_eventd.policy import MAX_RULES, PolicyError, PolicyRule, check_policy, check_policy_ports
from guestmux_eventd.privacy_rules import MAX_PRIVACY_RULES, PrivacyError, PrivacyRule, check_privacy
from guestmux_eventd.registration import KNOWN
from guestmux_protocol.addresses import AddressError, PortAddress, UnixConnect, parse_port_address
from guestmux_protocol.commands import NATIVE
from guestmux_protocol.errors import GuestmuxError

DEFAULT_PATH = "/etc/guestmux/eventd.toml"

MAX_PORTS = 16
"""Ports of one eventd; QEMU's virtio-serial device itself has 31."""

MAX_DISK_PATHS = 8
"""Paths whose file systems are looked at: each may keep a thread when it does not answer, and the unit has 32."""

AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\0]*$", max_length=4095)]
Dialect = Literal["qga", "qmp"]
LogLevel = Literal["debug", "info", "warning", "error"]


class ConfigError(GuestmuxError):
    """The configuration cannot be used. The text names the place and what is accepted."""


class PortConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A port: what is spoken on it, and where it is."""

    dialect: Dialect
    address: str

    def parsed_address(self) -> PortAddress:
        """The address.

        Raises:
            AddressError: it is none.
        """
        return parse_port_address(self.address)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Everything that can be set.

    Args:
        port: the ports to serve.
        bus: a D-Bus address, or `system`.
        backend: where a stock qemu-ga listens, as `unix-connect:PATH`; empty: none is asked.
        log_level: what is logged.
        call_timeout: seconds that an agent has for a command, where the host says nothing.
        emit_rate: events a second that one agent may emit.
        max_message: bytes of one message from a host.
        memory_events: events kept in memory for hosts that read slowly or reconnect.
        memory_bytes: bytes of these.
        journal: whether events that are kept every one are stored on disk, too.
        journal_directory: where; empty: in systemd's StateDirectory, if there is one.
        journal_events: events on disk.
        journal_bytes: bytes of the journal's files.
        journal_days: the age at which an event goes.
        unit_failures: whether hosts are told of units that fail.
        disk_pressure: paths of file systems of which hosts are told when they are nearly full.
        disk_pressure_percent: how much used is nearly full.
        policy: which commands may run.
        privacy: what of events does not leave the guest.
    """

    port: Annotated[list[PortConfig], Meta(max_length=MAX_PORTS)] = []
    bus: str = "system"
    backend: str = ""
    log_level: LogLevel = "info"
    call_timeout: Annotated[float, Meta(gt=0, le=86400)] = 30.0
    emit_rate: Annotated[float, Meta(gt=0, le=1_000_000)] = 2000.0
    max_message: Annotated[int, Meta(ge=4096, le=1 << 30)] = 64 * 1024 * 1024
    memory_events: Annotated[int, Meta(ge=1, le=10_000_000)] = 65_536
    memory_bytes: Annotated[int, Meta(ge=65_536, le=1 << 32)] = 32 * 1024 * 1024
    journal: bool = True
    journal_directory: str = ""
    journal_events: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1_000_000
    journal_bytes: Annotated[int, Meta(ge=MIN_BYTES, le=1 << 40)] = 64 * 1024 * 1024
    journal_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    unit_failures: bool = False
    disk_pressure: Annotated[list[AbsolutePath], Meta(max_length=MAX_DISK_PATHS)] = []
    disk_pressure_percent: Annotated[int, Meta(ge=10, le=100)] = 90
    policy: Annotated[list[PolicyRule], Meta(max_length=MAX_RULES)] = []
    privacy: Annotated[list[PrivacyRule], Meta(max_length=MAX_PRIVACY_RULES)] = []


def read_config(path: str) -> dict[str, Any]:
    """Read a configuration file as plain data.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no TOML: {error}") from error


def make_config(settings: dict[str, Any], origin: str) -> Config:
    """Check plain data and make the configuration of it.

    Args:
        settings: from a file and the command line.
        origin: what to call it in an error.

    Raises:
        ConfigError: an option is unknown, of the wrong type or out of bounds; a port's address is none, or is
            named twice; an entry of the policy or of privacy cannot be meant as it is written.
    """
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from error
    try:
        check_policy(config.policy, {*NATIVE, *KNOWN})
        check_privacy(config.privacy)
    except (PolicyError, PrivacyError) as error:
        raise ConfigError(f"{origin}: {error}") from error
    _check_backend(config.backend, origin)
    seen: set[PortAddress] = set()
    for port in config.port:
        try:
            address = port.parsed_address()
        except AddressError as error:
            raise ConfigError(f"{origin}: port: {error}") from error
        if address in seen:
            raise ConfigError(f"{origin}: port {port.address} is named twice; a port opens once")
        seen.add(address)
    return config


def backend_address(config: Config) -> UnixConnect | None:
    """Where the stock qemu-ga is; None for none."""
    address = parse_port_address(config.backend) if config.backend else None
    return address if isinstance(address, UnixConnect) else None


def _check_backend(text: str, origin: str) -> None:
    try:
        if text and not isinstance(parse_port_address(text), UnixConnect):
            raise AddressError(f"'{text}': a stock qemu-ga is reached at unix-connect:PATH")
    except AddressError as error:
        raise ConfigError(f"{origin}: backend: {error}") from error


def check_ports_of_policy(config: Config, origin: str) -> None:
    """Check that the policy speaks of ports that are served, once all of them are known.

    Raises:
        ConfigError: a table is about none of them, and so would forbid nothing.
    """
    try:
        check_policy_ports(config.policy, [port.address for port in config.port])
    except PolicyError as error:
        raise ConfigError(f"{origin}: {error}") from error
