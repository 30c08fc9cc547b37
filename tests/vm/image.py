"""The disk that the virtual machine boots: a Debian 12 root with a kernel, guestmux, and the test's own service."""

import functools
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.guest.image import CONTAINER, ImageError, Recipe, exclusive
from tests.guest.install import installed_layers
from tests.guest.packages import CACHE, IN_USE_SECONDS

DISK_SIZE = "2G"
"""The file is sparse: what nobody writes takes no room."""

CONTROL_PORT = "org.guestmux.test"
"""The virtio port that the test's own root service in the guest listens on; eventd knows nothing of it."""

CONTROL_SERVICE = Path(__file__).with_name("control_service.py")

# Before any package is installed: the initramfs is made when the kernel is, and needs to find the disk only.
INITRAMFS = (
    'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"; '
    'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/list"; '
    'printf "%s\\n" virtio_pci virtio_blk >"$1/usr/share/initramfs-tools/modules.d/disk"'
)

VM = Recipe(
    "vm",
    (
        *CONTAINER.packages,
        "initramfs-tools",
        "linux-image-cloud-amd64",
        "qemu-guest-agent",
        "udev",
        "util-linux-extra",  # hwclock
    ),
    (f"--essential-hook={INITRAMFS}",),
)
"""The container's root, and what a machine needs beside. The stock agent is there to quarrel with, and masked."""

PACKAGES_FOLDER = "/root/packages"
"""In the machine: the packages that are installed, for who installs them again."""

SETUP = f"""
cp -r /packages {PACKAGES_FOLDER}
install -d /usr/local/lib/guestmux-test
cat >/usr/local/lib/guestmux-test/control_service.py <<'END_OF_SERVICE'
{CONTROL_SERVICE.read_text()}END_OF_SERVICE
cat >/etc/systemd/system/guestmux-test.service <<'END_OF_UNIT'
[Unit]
Description=Commands of the test that runs this machine
DefaultDependencies=no
BindsTo=dev-virtio\\x2dports-{CONTROL_PORT}.device
After=dev-virtio\\x2dports-{CONTROL_PORT}.device dbus.socket
[Service]
ExecStart=python3 /usr/local/lib/guestmux-test/control_service.py /dev/virtio-ports/{CONTROL_PORT}
KillMode=process
OOMScoreAdjust=-1000
END_OF_UNIT
cat >/etc/udev/rules.d/70-guestmux-test.rules <<'END_OF_RULES'
SUBSYSTEM=="virtio-ports", ATTR{{name}}=="{CONTROL_PORT}", TAG+="systemd"
SUBSYSTEM=="virtio-ports", ATTR{{name}}=="{CONTROL_PORT}", ENV{{SYSTEMD_WANTS}}="guestmux-test.service"
END_OF_RULES
systemctl --quiet mask qemu-guest-agent.service apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service
systemd-machine-id-setup >/dev/null
echo guestmux-vm >/etc/hostname
"""


@dataclass(frozen=True)
class Image:
    """What QEMU is given.

    Attributes:
        disk: a raw image; nobody may write to it.
        kernel: as -kernel.
        initramfs: as -initrd.
        processor: as -cpu.
    """

    disk: Path
    kernel: Path
    initramfs: Path
    processor: str = "max"


# The root is several folders laid over each other; mke2fs reads them as one, and neither needs a loop device.
MAKE_DISK = """
set -eu
layers=$1 root=$2 disk=$3 size=$4
mount -t overlay overlay -o "lowerdir=$layers" "$root"
mke2fs -q -t ext4 -d "$root" "$disk" "$size"
"""


@functools.cache
def vm_image() -> Image:
    """The image with this tree's guestmux installed, made now if it is not in the cache.

    Raises:
        ImageError, InstallError: it could not be made.
    """
    layers = installed_layers(VM, SETUP)
    boot = layers[-1] / "boot"
    disk = CACHE / f"disk-{_name(layers)}.raw"
    with exclusive(CACHE / "vm.lock"):
        if not disk.exists():
            _make_disk(layers, disk)
    return Image(disk, _only(boot, "vmlinuz-*"), _only(boot, "initrd.img-*"))


def _name(layers: list[Path]) -> str:
    return hashlib.sha256(repr((layers, DISK_SIZE, MAKE_DISK)).encode()).hexdigest()[:16]


def _make_disk(layers: list[Path], disk: Path) -> None:
    print(f"making the virtual machine's disk {disk} (some seconds)", file=sys.stderr, flush=True)
    for old in CACHE.glob("disk-*.raw"):
        if time.time() - old.stat().st_mtime > IN_USE_SECONDS:
            old.unlink()
    unfinished = disk.with_name(f"unfinished-{secrets.token_hex(4)}.disk")
    root = Path(f"{unfinished}.root")
    root.mkdir()
    command = ["unshare", "--mount", "sh", "-c", MAKE_DISK, "sh", ":".join(map(str, layers))]
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        result = subprocess.run(
            [*command, str(root), str(unfinished), DISK_SIZE],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    finally:
        shutil.rmtree(root)
    if result.returncode:
        unfinished.unlink(missing_ok=True)
        raise ImageError(f"the disk could not be made: {result.stderr}")
    unfinished.rename(disk)


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ImageError(f"one {pattern} was to be in {folder}; there are {len(found)}")
    return found[0]


if __name__ == "__main__":
    print(vm_image())
