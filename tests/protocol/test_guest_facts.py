"""The facts' commands beside qga/qapi-schema.json: the same names, the same members, the same ones optional."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.hardware import GuestLogicalProcessor, GuestSetVcpus
from guestmux_protocol.registry import Arguments
from guestmux_protocol.schema import InvalidParameter
from tests.support.plain_types import plain

STATISTICS = {
    f"{way}-{kind}": "int" for way in ("rx", "tx") for kind in ("bytes", "packets", "errs", "dropped")
}

PROCESSORS = [{"logical-id": "int", "online": "bool", "*can-offline": "bool"}]
BLOCKS = [{"phys-index": "int", "online": "bool", "*can-offline": "bool"}]

ROUTE = {
    "iface": "str",
    "destination": "str",
    "metric": "int",
    "*gateway": "str",
    "*mask": "str",
    "*irtt": "int",
    "*flags": "int",
    "*refcnt": "int",
    "*use": "int",
    "*window": "int",
    "*mtu": "int",
    "*desprefixlen": "str",
    "*source": "str",
    "*srcprefixlen": "str",
    "*nexthop": "str",
    "version": "int",
}

OS_MEMBERS = "kernel-release kernel-version machine id name pretty-name version version-id variant variant-id"
DISK_COUNTERS = [
    f"{way}-{kind}" for way in ("read", "write", "discard") for kind in ("sectors", "ios", "merges")
]
DISK_TIMES = [f"{way}-ticks" for way in ("read", "write", "discard", "flush", "total", "weight")]

NOTHING: dict[str, Any] = {}

BUSES = (
    "ide fdc scsi virtio xen usb uml sata sd unknown ieee1394 ssa fibre raid iscsi sas mmc virtual file-backed-virtual"
    " nvme"
)

ADDRESS = {
    "pci-controller": dict.fromkeys(("domain", "bus", "slot", "function"), "int"),
    "bus-type": set(BUSES.split()),
    "bus": "int",
    "target": "int",
    "unit": "int",
    "*serial": "str",
    "*dev": "str",
    "*ccw-address": {"cssid": "int", "ssid": "int", "subchno": "int", "devno": "int"},
}

CPU_STATS = {
    "type": {"linux"},
    **dict.fromkeys(("cpu", "user", "nice", "system", "idle"), "int"),
    **dict.fromkeys(("*iowait", "*irq", "*softirq", "*steal", "*guest", "*guestnice"), "int"),
}

OF_QEMU: dict[str, tuple[Any, Any]] = {
    "guest-get-host-name": (NOTHING, {"host-name": "str"}),
    "guest-get-osinfo": (NOTHING, {f"*{member}": "str" for member in OS_MEMBERS.split()}),
    "guest-get-timezone": (NOTHING, {"*zone": "str", "offset": "int"}),
    "guest-get-time": (NOTHING, "int"),
    "guest-get-load": (NOTHING, {"load1m": "number", "load5m": "number", "load15m": "number"}),
    "guest-network-get-interfaces": (
        NOTHING,
        [
            {
                "name": "str",
                "*hardware-address": "str",
                "*ip-addresses": [
                    {"ip-address": "str", "ip-address-type": {"ipv4", "ipv6"}, "prefix": "int"}
                ],
                "*statistics": STATISTICS,
            }
        ],
    ),
    "guest-network-get-route": (NOTHING, [ROUTE]),
    "guest-get-fsinfo": (
        NOTHING,
        [
            {
                "name": "str",
                "mountpoint": "str",
                "type": "str",
                "*used-bytes": "int",
                "*total-bytes": "int",
                "*total-bytes-privileged": "int",
                "disk": [ADDRESS],
            }
        ],
    ),
    "guest-get-disks": (
        NOTHING,
        [
            {
                "name": "str",
                "partition": "bool",
                "*dependencies": ["str"],
                "*address": ADDRESS,
                "*alias": "str",
            }
        ],
    ),
    "guest-get-diskstats": (
        NOTHING,
        [
            {
                "name": "str",
                "major": "int",
                "minor": "int",
                "stats": {
                    f"*{member}": "int" for member in (*DISK_COUNTERS, *DISK_TIMES, "flush-ios", "ios-pgr")
                },
            }
        ],
    ),
    "guest-get-vcpus": (NOTHING, PROCESSORS),
    "guest-set-vcpus": ({"vcpus": PROCESSORS}, "int"),
    "guest-get-memory-blocks": (NOTHING, BLOCKS),
    "guest-set-memory-blocks": (
        {"mem-blks": BLOCKS},
        [
            {
                "phys-index": "int",
                "response": {"success", "not-found", "operation-not-supported", "operation-failed"},
                "*error-code": "int",
            }
        ],
    ),
    "guest-get-memory-block-info": (NOTHING, {"size": "int"}),
    "guest-get-cpustats": (NOTHING, [CPU_STATS]),
}


@pytest.mark.parametrize("name", OF_QEMU)
def test_a_command_is_as_in_qemus_schema(name: str) -> None:
    takes, gives = OF_QEMU[name]
    assert plain(GUEST[name].arguments) == takes
    assert plain(GUEST[name].returns) == gives


def test_arguments_are_typed() -> None:
    given = {"vcpus": [{"logical-id": 1, "online": False}]}
    assert GUEST["guest-set-vcpus"].parse(given) == GuestSetVcpus(
        vcpus=[GuestLogicalProcessor(logical_id=1, online=False)]
    )


@pytest.mark.parametrize(
    ("arguments", "desc"),
    [
        ({}, "Parameter 'mem-blks' is missing"),
        ({"mem-blks": {}}, "Invalid parameter type for 'mem-blks', expected: array"),
        ({"mem-blks": [{"online": True}]}, "Parameter 'mem-blks[0].phys-index' is missing"),
        ({"mem-blks": [{"phys-index": 1, "online": 1}]}, "expected: boolean"),
        (
            {"mem-blks": [{"phys-index": 1, "online": True, "x": 1}]},
            "Parameter 'mem-blks[0].x' is unexpected",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], desc: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        GUEST["guest-set-memory-blocks"].parse(arguments)
    assert desc in str(caught.value)


@pytest.mark.parametrize("name", [name for name, (takes, _) in OF_QEMU.items() if takes is NOTHING])
def test_a_command_without_arguments_takes_none(name: str) -> None:
    assert isinstance(GUEST[name].parse({}), Arguments)
    with pytest.raises(InvalidParameter, match=r"^Parameter 'x' is unexpected$"):
        GUEST[name].parse({"x": 1})
