"""Disks, their addresses and the file systems on them, in a tree like sysfs'."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guestmux_protocol.guest.storage import (
    GuestDiskInfo,
    GuestGetDisks,
    GuestGetDiskstats,
    GuestGetFsinfo,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs.block_devices import MAX_LAYERS, BlockDevices
from guestmux_session.verbs.disk_addresses import disk_address
from guestmux_session.verbs.disks import Disks
from guestmux_session.verbs.filesystems import Filesystems
from guestmux_session.verbs.mounts import Mount
from tests.support.sysfs import Sysfs

PCI = "devices/pci0000:00/0000:00:1f.2"
VIRTUAL = "devices/virtual/block"
CCW = "devices/css0/0.0.0003/0.0.00a1/virtio1"

DISKSTATS = """\
 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
   8       0 sda 1 2 3 4 5 6 7 8 9 10 11
   3       1 hda1 1 2 3 4
   8       1 sda1 1 2
"""


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


@pytest.fixture
def devices(tmp_path: Path, sysfs: Sysfs) -> BlockDevices:
    return BlockDevices(sysfs.root, tmp_path / "udev")


def udev(tmp_path: Path, numbers: str, **properties: str) -> None:
    (tmp_path / "udev").mkdir(exist_ok=True)
    lines = ["S:disk/by-id/x", *(f"E:{name}={value}" for name, value in properties.items())]
    (tmp_path / "udev" / f"b{numbers}").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("driver", "way", "seat"),
    [
        ("virtio-pci", "virtio1/block/vda", {"bus-type": "virtio"}),
        (
            "virtio-pci",
            "virtio1/host6/target6:0:3/6:0:3:5/block/sda",
            {"bus-type": "scsi", "unit": 5},
        ),
        ("sym53c8xx", "host2/target2:0:4/2:0:4:0/block/sda", {"bus-type": "scsi", "unit": 4}),
        ("ata_piix", "ata2/host9/target9:0:1/9:0:1:0/block/sda", {"bus-type": "ide", "bus": 0, "unit": 1}),
        ("ata_piix", "ata10/host9/target9:0:1/9:0:1:0/block/sda", {"bus-type": "ide", "bus": 1, "unit": 1}),
        ("ata_piix", "host4/target4:0:0/4:0:0:0/block/sda", {"bus-type": "ide"}),
        ("ahci", "ata10/host9/target9:0:0/9:0:0:0/block/sda", {"bus-type": "sata", "unit": 1}),
        ("nvme", "nvme/nvme0/nvme0n1", {"bus-type": "nvme"}),
        ("xhci_hcd", "usb1/1-1/1-1:1.0/host7/target7:0:0/7:0:0:0/block/sda", {"bus-type": "usb"}),
        ("ahci", "ata1/odd/block/sda", {"bus-type": "unknown"}),
        ("ahci", "odd/target9:0:0/9:0:0:0/block/sda", {"bus-type": "unknown"}),
    ],
)
def test_a_disk_on_pci(
    sysfs: Sysfs, devices: BlockDevices, driver: str, way: str, seat: dict[str, Any]
) -> None:
    device = sysfs.disk(f"{PCI}/{way}", "8:0")
    for port in ("ata2", "ata10", "atax"):
        (sysfs.root / PCI / port).mkdir(exist_ok=True)
    sysfs.driver(PCI, driver)
    assert msgspec.to_builtins(disk_address(device, devices)) == {
        "pci-controller": {"domain": 0, "bus": 0, "slot": 0x1F, "function": 2},
        "bus": 0,
        "target": 0,
        "unit": 0,
        "dev": f"/dev/{device.name}",
        **seat,
    }


def test_a_controller_behind_a_bridge(sysfs: Sysfs, devices: BlockDevices) -> None:
    bridge = "devices/pci0000:00/0000:00:01.0"
    device = sysfs.disk(f"{bridge}/10000:03:02.7/virtio1/block/vda", "254:0")
    sysfs.driver(bridge, "pcieport")
    sysfs.driver(f"{bridge}/10000:03:02.7", "virtio-pci")
    address = msgspec.to_builtins(disk_address(device, devices))
    assert address["pci-controller"] == {"domain": 0x10000, "bus": 3, "slot": 2, "function": 7}


@pytest.mark.parametrize(
    ("way", "bus_type", "seat"),
    [
        ("devices/platform/a003e00.virtio_mmio/virtio0/block/vda", "virtio", (0, 0, 0)),
        ("devices/platform/x/virtio0/host0/target0:1:2/0:1:2:3/block/sda", "scsi", (1, 2, 3)),
        ("devices/pci0000:00/0000:00:05.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "unknown", (0, 0, 0)),
        ("devices/pci0000:00", "unknown", (0, 0, 0)),
        ("devices/vbd-51712/block/xvda", "unknown", (0, 0, 0)),
        ("devices/css0/odd/0.0.0001/block/dasda", "unknown", (0, 0, 0)),
    ],
)
def test_a_disk_elsewhere(
    sysfs: Sysfs, devices: BlockDevices, way: str, bus_type: str, seat: tuple[int, int, int]
) -> None:
    address = disk_address(sysfs.disk(way, "9:0"), devices)
    assert address is not None
    assert address.pci_controller.domain == -1
    assert (address.bus_type, (address.bus, address.target, address.unit)) == (bus_type, seat)
    assert not address.ccw_address


def test_a_disk_on_channel_io(sysfs: Sysfs, devices: BlockDevices) -> None:
    address = msgspec.to_builtins(disk_address(sysfs.disk(f"{CCW}/block/vda", "254:0"), devices))
    assert address["bus-type"] == "virtio"
    assert address["ccw-address"] == {"cssid": 0, "ssid": 0, "subchno": 3, "devno": 0xA1}


def test_of_nothing_nothing_is_known(sysfs: Sysfs, devices: BlockDevices, tmp_path: Path) -> None:
    assert disk_address(sysfs.disk("devices/odd/block/odd", "9:0", node=""), devices) is None
    assert disk_address(tmp_path / "outside", devices) is None


def test_the_serial_number_is_udevs_or_virtios(sysfs: Sysfs, devices: BlockDevices, tmp_path: Path) -> None:
    disk = sysfs.disk("devices/platform/x/virtio0/block/vda", "254:0")
    partition = sysfs.partition(disk, "vda1", "254:1")
    assert devices.serial(disk) == ""
    (disk / "serial").write_text("of-virtio")
    assert (devices.serial(disk), devices.serial(partition)) == ("of-virtio", "of-virtio")
    udev(tmp_path, "254:1", ID_SERIAL="of-udev")
    assert (devices.serial(disk), devices.serial(partition)) == ("of-virtio", "of-udev")
    address = disk_address(partition, devices)
    assert address is not None
    assert (address.serial, address.dev) == ("of-udev", "/dev/vda1")


def test_disks_partitions_and_volumes(sysfs: Sysfs, devices: BlockDevices, tmp_path: Path) -> None:
    nvme = sysfs.disk(f"{PCI}/nvme/nvme0/nvme0n1", "259:0")
    sysfs.driver(PCI, "nvme")
    second = sysfs.partition(nvme, "nvme0n1p2", "259:2")
    sysfs.partition(nvme, "nvme0n1p10", "259:10")
    (nvme / "nvme0n1power").mkdir()
    volume = sysfs.disk(f"{VIRTUAL}/dm-0", "253:0")
    sysfs.lies_on(volume, second)
    other = sysfs.disk(f"{VIRTUAL}/dm-1", "253:1")
    (other / "dm").mkdir()
    (other / "dm/name").write_text("vg-of-sysfs\n")
    udev(tmp_path, "253:0", DM_NAME="vg-root")
    sysfs.disk(f"{VIRTUAL}/loop0", "7:0", size=0)
    sysfs.disk(f"{VIRTUAL}/secret", "7:1", node="")
    found = Disks(devices).disks(GuestGetDisks())
    assert found == [
        GuestDiskInfo(name="/dev/dm-0", partition=False, dependencies=["/dev/nvme0n1p2"], alias="vg-root"),
        GuestDiskInfo(name="/dev/dm-1", partition=False, dependencies=[], alias="vg-of-sysfs"),
        GuestDiskInfo(
            name="/dev/nvme0n1",
            partition=False,
            dependencies=[],
            address=disk_address(nvme, devices) or msgspec.UNSET,
        ),
        GuestDiskInfo(name="/dev/nvme0n1p2", partition=True, dependencies=["/dev/nvme0n1"]),
        GuestDiskInfo(name="/dev/nvme0n1p10", partition=True, dependencies=["/dev/nvme0n1"]),
    ]
    assert found[2].address


def test_a_guest_without_block_devices(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r'^Can\'t open directory ".*/block": No such file or directory$'):
        Disks(BlockDevices(tmp_path)).disks(GuestGetDisks())


def test_the_counters_of_three_kernels(tmp_path: Path) -> None:
    (tmp_path / "diskstats").write_text(DISKSTATS)
    new, old, oldest = msgspec.to_builtins(Disks(procfs=tmp_path).diskstats(GuestGetDiskstats()))
    assert (new["name"], new["major"], new["minor"]) == ("vda", 254, 0)
    reads, writes, discards = (
        [f"{way}-{kind}" for kind in ("ios", "merges", "sectors", "ticks")]
        for way in ("read", "write", "discard")
    )
    running = ["ios-pgr", "total-ticks", "weight-ticks"]
    in_order = [*reads, *writes, *running, *discards, "flush-ios", "flush-ticks"]
    assert new["stats"] == dict(zip(in_order, range(1, 18), strict=True))
    assert old["stats"] == dict(zip(in_order[:11], range(1, 12), strict=True))
    assert oldest["stats"] == {"read-ios": 1, "read-sectors": 2, "write-ios": 3, "write-sectors": 4}


def fsinfo(devices: BlockDevices, *mounts: Mount) -> list[dict[str, Any]]:
    found = Filesystems(devices, lambda: list(mounts)).fsinfo(GuestGetFsinfo())
    told: list[dict[str, Any]] = msgspec.to_builtins(found)
    return told


def test_file_systems_on_disks(sysfs: Sysfs, devices: BlockDevices, tmp_path: Path) -> None:
    disks = [
        sysfs.disk(f"devices/platform/{name}/virtio0/block/{name}", f"254:{n}") for n, name in enumerate("ab")
    ]
    volume = sysfs.disk(f"{VIRTUAL}/dm-0", "253:0")
    for disk in disks:
        sysfs.lies_on(volume, disk)
    told = fsinfo(
        devices,
        Mount(str(tmp_path), (254, 0), "ext4", "/dev/a"),
        Mount("/proc", (0, 21), "proc", "proc"),
        Mount("/srv/nfs", (0, 50), "nfs4", "server:/"),
        Mount("/gone\udcff", (253, 0), "xfs", "/dev/mapper/x"),
        Mount("/in-container", (8, 99), "ext4", "/dev/sdz"),
    )
    assert [(each["name"], each["mountpoint"], each["type"]) for each in told] == [
        ("8:99", "/in-container", "ext4"),
        ("dm-0", "/gone\ufffd", "xfs"),
        ("a", str(tmp_path), "ext4"),
    ]
    assert [[disk["dev"] for disk in each["disk"]] for each in told] == [[], ["/dev/a", "/dev/b"], ["/dev/a"]]
    assert [each.keys() >= {"used-bytes", "total-bytes-privileged"} for each in told] == [False, False, True]
    usage = os.statvfs(tmp_path)
    assert told[2]["total-bytes-privileged"] == usage.f_blocks * usage.f_frsize
    assert told[2]["used-bytes"] <= told[2]["total-bytes"] <= told[2]["total-bytes-privileged"]


def test_btrfs_is_found_by_its_source(
    sysfs: Sysfs, devices: BlockDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    sysfs.disk("devices/platform/x/virtio0/block/vdb", "254:16")
    monkeypatch.setattr(Mount, "on_disk", True)
    real = os.stat

    def stat(path: Any, **options: Any) -> Any:
        if path != "/dev/vdb":
            return real(path, **options)
        numbers = list(real("/dev/null"))
        return os.stat_result(numbers, {"st_rdev": os.makedev(254, 16)})

    monkeypatch.setattr(os, "stat", stat)
    mounts = (Mount("/b", (0, 40), "btrfs", "/dev/vdb"), Mount("/c", (0, 41), "btrfs", "/dev/gone"))
    assert [each["name"] for each in fsinfo(devices, *mounts)] == ["0:41", "vdb"]


def test_devices_that_lie_on_themselves_end(sysfs: Sysfs, devices: BlockDevices) -> None:
    volume = sysfs.disk(f"{VIRTUAL}/dm-0", "253:0")
    sysfs.lies_on(volume, volume)
    assert list(devices.real(volume)) == []
    for layer in range(1, MAX_LAYERS):
        upper = sysfs.disk(f"{VIRTUAL}/dm-{layer}", f"253:{layer}")
        sysfs.lies_on(upper, volume)
        volume = upper
    disk = sysfs.disk("devices/platform/x/virtio0/block/vdb", "254:16")
    sysfs.lies_on(sysfs.root / VIRTUAL / "dm-0", disk)
    assert disk in devices.real(volume)
