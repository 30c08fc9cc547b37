"""A libvirt domain with guestmux in it, whose channels are those of docs/install.md."""

import json
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.guest.packages import TREE
from tests.libvirt.daemon import POLL_SECONDS, Libvirt, LibvirtError, running_libvirt
from tests.vm.control import Control
from tests.vm.emulated import EmulatedGuest
from tests.vm.image import CONTROL_PORT, Image, vm_image
from tests.vm.qemu import KERNEL_OPTIONS, MEMORY, PROGRAM

NAME = "desktop7"

STATE_SECONDS = 60.0
"""A guest switches itself off in some seconds."""

QGA = "org.qemu.guest_agent.0"

GUESTMUX = "org.guestmux.0"

# As tests.vm.qemu has it, in libvirt's words.
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{image.kernel}</kernel>
    <initrd>{image.initramfs}</initrd>
    <cmdline>{kernel_options}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file'>
      <driver name='qemu' type='qcow2' cache='unsafe' discard='unmap'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/run/vm/console'/></serial>
    <channel type='unix'>
      <source mode='bind' path='/run/vm/control'/>
      <target type='virtio' name='{control_port}'/>
    </channel>
    {channels}
  </devices>
</domain>
"""


class Domain(EmulatedGuest):
    """A domain.

    Args:
        libvirt: where it is defined; the domain is started there, and not yet booted.

    Attributes:
        libvirt: as given.
        guestmux: the socket of org.guestmux.0, by the documentation's name.
    """

    def __init__(self, libvirt: Libvirt) -> None:
        self.libvirt = libvirt
        self.guestmux = libvirt.vm / f"{NAME}.guestmux"
        super().__init__(self._start())

    def _start(self) -> Control:
        self.virsh("start")
        return Control(self.libvirt.vm / "control")

    def __repr__(self) -> str:
        return f"<Domain {NAME} of {self.libvirt!r}>"

    def virsh(self, command: str, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of virsh's on this domain; see `Libvirt.virsh`."""
        return self.libvirt.virsh(command, NAME, *words, check=check)

    def agent_command(self, command: str, **arguments: object) -> Any:
        """What `virsh qemu-agent-command` gives as the return value.

        Raises:
            LibvirtError: the guest answered with an error, or not at all.
        """
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        return json.loads(self.virsh("qemu-agent-command", json.dumps(request)).stdout)["return"]

    def enabled(self) -> set[str]:
        """The commands that the agent serves, by its own word."""
        supported = self.agent_command("guest-info")["supported_commands"]
        return {command["name"] for command in supported if command["enabled"]}

    def channel_state(self, name: str) -> str | None:
        """ "connected" or "disconnected": whether the guest has this channel open, as libvirt sees it."""
        devices = ElementTree.fromstring(self.virsh("dumpxml").stdout)
        target = devices.find(f"./devices/channel/target[@name='{name}']")
        return target.get("state") if target is not None else None

    def state(self) -> str:
        """As `virsh domstate` says it."""
        return self.virsh("domstate").stdout.strip()

    def wait_state(self, state: str) -> None:
        """Wait until `state` is this.

        Raises:
            LibvirtError: it does not become so.
        """
        deadline = time.monotonic() + STATE_SECONDS
        while (now := self.state()) != state:
            if time.monotonic() > deadline:
                raise LibvirtError(f"{self!r} is {now}, not {state}{self.libvirt.last_words()}")
            time.sleep(POLL_SECONDS)

    def start_again(self) -> None:
        """Boot, from whatever state."""
        self.close()
        if self.state() != "shut off":
            self.virsh("destroy")
        self._control = self._start()
        self.wait_booted()

    def close(self) -> None:
        """Hang up the test's own channel."""
        self._control.close()


def documented_channels() -> str:
    """The channels that docs/install.md has operators put into a domain, to the letter."""
    [channels] = [block for block in _documented("xml") if GUESTMUX in block]
    return channels


def documented_channel(name: str) -> str:
    """One of `documented_channels`."""
    channels = ElementTree.fromstring(f"<devices>{documented_channels()}</devices>")
    [channel] = channels.findall(f"./channel/target[@name='{name}']/..")
    return ElementTree.tostring(channel, encoding="unicode")


def documented_commands() -> list[list[str]]:
    """The words that docs/install.md has operators give to virsh."""
    lines = [line for block in _documented("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("virsh ")]


def _documented(language: str) -> list[str]:
    text = (TREE / "docs" / "install.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@contextmanager
def running_domain() -> Iterator[Domain]:
    """Start a libvirtd and a domain in it; both are gone after the block.

    Raises:
        LibvirtError, GuestError, ImageError, InstallError: it could not be made.
    """
    image = vm_image()
    with tempfile.TemporaryDirectory(prefix="guestmux-libvirt-") as name:
        folder = Path(name)
        with running_libvirt(folder) as libvirt:
            definition = folder / "domain.xml"
            definition.write_text(_definition(folder, image))
            libvirt.virsh("define", str(definition))
            domain = Domain(libvirt)
            try:
                domain.wait_booted()
                yield domain
            finally:
                domain.close()


def _definition(folder: Path, image: Image) -> str:
    disk = folder / "disk.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk), str(disk)]
    subprocess.run(create, check=True)
    return DOMAIN.format(
        name=NAME,
        memory=MEMORY.removesuffix("M"),
        image=image,
        kernel_options=KERNEL_OPTIONS,
        emulator=shutil.which(PROGRAM),
        disk=disk,
        control_port=CONTROL_PORT,
        channels=documented_channels(),
    )
