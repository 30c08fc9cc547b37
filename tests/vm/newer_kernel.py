"""A kernel newer than the guest's own, to boot the same disk with: Debian's backports have it."""

import functools
import lzma
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.guest.image import RELEASE, apt_sources, cache_folder, exclusive
from tests.vm.image import Image, vm_image

META_PACKAGE = "linux-image-cloud-amd64"

DISK_DRIVER = "kernel/drivers/block/virtio_blk.ko.xz"
"""All that this kernel does not have built in of what the disk is found with."""

# The disk has the modules of its own kernel only.
INIT = b"""#!/bin/sh
mkdir -p /root
mount -t devtmpfs devtmpfs /dev
insmod /virtio_blk.ko
mount -t ext4 /dev/vda /root
exec run-init /root /sbin/init
"""

PROCESSOR = "max,-cx16"
"""QEMU 7.2 emulates CMPXCHG16B wrongly, by which this kernel allocates memory: it dies of it within seconds."""

DOWNLOAD_SECONDS = 300.0


class NoNewerKernel(Exception):
    """There is none to be had here; the text says why."""


@functools.cache
def with_newer_kernel() -> Image:
    """The machine's disk with a newer kernel, fetched now if it is not in the cache.

    Raises:
        NoNewerKernel: this machine's sources of Debian have no backports.
        ImageError, InstallError: the disk could not be made.
    """
    image = vm_image()
    folder = cache_folder() / f"kernel-{RELEASE}-backports"
    with exclusive(folder.with_suffix(".lock")):
        if not folder.exists():
            _fetch(folder)
    [kernel] = folder.glob("boot/vmlinuz-*")
    [driver] = folder.glob(f"lib/modules/*/{DISK_DRIVER}")
    initramfs = image.disk.with_name(f"initramfs-{kernel.name}")
    added = _archive({"init": INIT, "virtio_blk.ko": lzma.decompress(driver.read_bytes())})
    # The kernel unpacks one archive over the other, where that begins at a multiple of four.
    initramfs.write_bytes(_padded(image.initramfs.read_bytes()) + added)
    return Image(image.disk, kernel, initramfs, PROCESSOR)


def _fetch(folder: Path) -> None:
    sources = [line for line in apt_sources().splitlines() if f" {RELEASE} " in line]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="unfinished-") as work:
        place = Path(work)
        (place / "sources.list").write_text(
            "\n".join(line.replace(f" {RELEASE} ", f" {RELEASE}-backports ") for line in sources)
        )
        (place / "lists/partial").mkdir(parents=True)
        options = [
            *(
                "-o",
                f"Dir::Etc::SourceList={place / 'sources.list'}",
                "-o",
                "Dir::Etc::SourceParts=/dev/null",
            ),
            *("-o", f"Dir::State::Lists={place / 'lists'}", "-o", f"Dir::Cache={place}"),
        ]
        _run(["apt-get", *options, "--quiet=2", "update"], place)
        depends = _run(["apt-cache", *options, "depends", META_PACKAGE], place)
        package = next((line.split()[1] for line in depends.splitlines() if "Depends:" in line), "")
        _run(["apt-get", *options, "--quiet=2", "download", package], place)
        [file] = place.glob("linux-image-*.deb")
        _run(["dpkg-deb", "--extract", str(file), str(place / "root")], place)
        (place / "root").rename(folder)


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise NoNewerKernel(f"{error}: {getattr(error, 'stderr', '')}") from error
    return done.stdout


def _archive(files: dict[str, bytes]) -> bytes:
    """A cpio archive as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format.rst, "newc")."""
    members = [_member(number, name, data) for number, (name, data) in enumerate(files.items(), 1)]
    return b"".join([*members, _member(0, "TRAILER!!!", b"")])


def _member(number: int, name: str, data: bytes) -> bytes:
    regular_file, links = 0o100755, 1
    fields = (number, regular_file, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
