"""A disk of a guest's own under eventd's state directory: an ext4 in a file of this machine's."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.guest.rig import Guest

EVENTD = "guestmux-eventd.service"
STATE = "/var/lib/guestmux"
DEVICE = "/dev/guestmux-state"
"""What the guest calls the disk; a container has no loop devices of its own."""

DISK_BYTES = 16 << 20

TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@contextmanager
def state_disk(guest: Guest, folder: Path) -> Iterator[str]:
    """Have eventd's state on a disk of its own for the block; eventd starts anew with it. Gives where it is mounted."""
    image = folder / "state.img"
    image.touch()
    with image.open("r+b") as file:
        file.truncate(DISK_BYTES)
    tool("mkfs.ext4", "-q", str(image))
    loop = tool("losetup", "--find", "--show", str(image)).strip()
    try:
        device = Path(loop).stat().st_rdev
        guest.run(["mknod", DEVICE, "b", str(device >> 8), str(device & 0xFF)])
        guest.systemctl("stop", EVENTD)
        guest.run(["mount", DEVICE, STATE])
        guest.systemctl("start", EVENTD)
        yield STATE
    finally:
        # What a test that failed left frozen would outlive everybody who can thaw it.
        tool("fsfreeze", "--unfreeze", str(guest.container.path(STATE)), check=False)
        guest.container.kill()
        tool("losetup", "--detach", loop)


def tool(*words: str, check: bool = True) -> str:
    """Run one of this machine's tools; gives what it printed."""
    return subprocess.run(words, check=check, capture_output=True, text=True, env=TOOLS).stdout
