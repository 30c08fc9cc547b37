"""`guestmux os` and `net`: what the guest is, and where it is reached."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import click
from msgspec import UNSET, UnsetType, to_builtins

from guestmux.cli.options import as_json, call_timeout, connecting, talk
from guestmux.cli.output import clean, say, say_json, say_table
from guestmux.cli.sizes import offset, size
from guestmux.cli.usage import examples
from guestmux.errors import RemoteError
from guestmux.guest import Guest
from guestmux_protocol.guest.facts import GuestLoadAverage, GuestOSInfo, GuestTimezone
from guestmux_protocol.guest.network import GuestNetworkInterface

Fact = TypeVar("Fact")


@click.command(
    "os", epilog=examples("guestmux os", "guestmux os --json | jq -r '.os | .id + .[\"version-id\"]'")
)
@as_json
@call_timeout
@connecting
def os_command(as_json: bool, timeout: float | None) -> None:
    """Show the guest's system: distribution, kernel, name, time zone, load. What it does not know is left out."""

    async def work(guest: Guest) -> None:
        system = await guest.os_info(timeout=timeout)
        name = await _if_known(guest.host_name(timeout=timeout))
        zone = await _if_known(guest.timezone(timeout=timeout))
        load = await _if_known(guest.load(timeout=timeout))
        if as_json:
            facts = {"os": system, "host-name": name, "timezone": zone, "load": load}
            say_json({key: to_builtins(fact) for key, fact in facts.items() if fact is not None})
            return
        for label, text in _os_lines(system, name, zone, load):
            if text:
                say(f"{label:8}  {clean(text)}")

    talk(work)


async def _if_known(asked: Awaitable[Fact]) -> Fact | None:
    """The answer; None where the guest has none, as an older qemu-ga."""
    try:
        return await asked
    except RemoteError:
        return None


def _os_lines(
    system: GuestOSInfo, name: str | None, zone: GuestTimezone | None, load: GuestLoadAverage | None
) -> list[tuple[str, str]]:
    def given(*values: str | UnsetType) -> str:
        return " ".join(value for value in values if not isinstance(value, UnsetType))

    return [
        ("host", name or ""),
        ("system", given(system.pretty_name) or given(system.name, system.version)),
        ("kernel", given(system.kernel_release, system.kernel_version)),
        ("machine", given(system.machine)),
        ("timezone", f"{given(zone.zone)} {offset(zone.offset)}".strip() if zone else ""),
        ("load", f"{load.load1m:.2f} {load.load5m:.2f} {load.load15m:.2f}" if load else ""),
    ]


@click.command(
    epilog=examples("guestmux net", 'guestmux net --json | jq -r \'.[]["ip-addresses"][]?["ip-address"]\'')
)
@as_json
@call_timeout
@connecting
def net(as_json: bool, timeout: float | None) -> None:
    """List the guest's network interfaces with their addresses, and how much went through."""

    async def work(guest: Guest) -> None:
        found = await guest.network_interfaces(timeout=timeout)
        if as_json:
            say_json(found)
            return
        say_table(("INTERFACE", "HARDWARE", "ADDRESSES", "RECEIVED", "SENT"), map(_net_row, found))

    talk(work)


def _net_row(interface: GuestNetworkInterface) -> tuple[Any, ...]:
    addresses = [] if isinstance(interface.ip_addresses, UnsetType) else interface.ip_addresses
    counters = None if isinstance(interface.statistics, UnsetType) else interface.statistics
    return (
        interface.name,
        "-" if interface.hardware_address is UNSET else interface.hardware_address,
        " ".join(f"{address.ip_address}/{address.prefix}" for address in addresses) or "-",
        size(counters.rx_bytes) if counters else "-",
        size(counters.tx_bytes) if counters else "-",
    )
