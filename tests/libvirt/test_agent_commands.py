"""virsh's commands that ask the agent: each works when the agent has what it needs, and else says what is missing."""

import re
import subprocess

import pytest

from tests.libvirt.domain import Domain

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(300)]

# What virsh is told, the agent's command that it takes, and what virsh prints then.
NEEDS = {
    "guestinfo --os": ("guest-get-osinfo", r"os\.id +: debian\n"),
    "guestinfo --timezone": ("guest-get-timezone", r"timezone\.offset +: 0\n"),
    "guestinfo --hostname": ("guest-get-host-name", r"hostname +: guestmux-vm\n"),
    "guestinfo --filesystem": ("guest-get-fsinfo", r"mountpoint +: /\n.*fstype +: ext4\n"),
    "guestinfo --disk": ("guest-get-disks", r"name +: /dev/vda\n"),
    "guestinfo --interface": ("guest-network-get-interfaces", r"addr +: 127\.0\.0\.1\n"),
    "domhostname": ("guest-get-host-name", r"guestmux-vm\n"),
    "domifaddr --source agent": ("guest-network-get-interfaces", r"\blo\b.* 127\.0\.0\.1/8\n"),
    "domfsinfo": ("guest-get-fsinfo", r" / +vda +ext4 +vda\n"),
    "domtime": ("guest-get-time", r"Time: \d{10}"),
    "domtime --now": ("guest-set-time", ""),
    "domfstrim": ("guest-fstrim", ""),
    "guestvcpus": ("guest-get-vcpus", r"online +: 0-1\n"),
    "set-user-password alice other": ("guest-set-user-password", ""),
}


@pytest.mark.parametrize("told", NEEDS)
def test_with_what_the_agent_serves(domain: Domain, served: set[str], told: str) -> None:
    needed, printed = NEEDS[told]
    command, *words = told.split()
    result = domain.virsh(command, *words, check=False)
    if needed in served:
        assert result.returncode == 0, result.stderr
        assert re.search(printed, result.stdout, re.DOTALL)
    else:
        assert_refused(result, needed)


def test_freeze_and_thaw(domain: Domain, served: set[str]) -> None:
    needed = "guest-fsfreeze-freeze"
    frozen = domain.virsh("domfsfreeze", check=False)
    if needed not in served:
        assert_refused(frozen, needed)
    else:
        thawed = domain.virsh("domfsthaw")
        assert "Froze 1 filesystem" in frozen.stdout
        assert "Thawed 1 filesystem" in thawed.stdout


def test_suspend_and_wake_up(domain: Domain, served: set[str]) -> None:
    needed = "guest-suspend-ram"
    suspended = domain.virsh("dompmsuspend", "mem", check=False)
    if needed not in served:
        assert_refused(suspended, needed)
    else:
        domain.wait_state("pmsuspended")
        domain.virsh("dompmwakeup")
        domain.wait_state("running")
        # The port is opened anew, which libvirt takes for another agent.
        ping = '{"execute": "guest-ping"}'
        domain.wait_for("the agent", lambda: domain.virsh("qemu-agent-command", ping, check=False).stdout)


def assert_refused(result: "subprocess.CompletedProcess[str]", needed: str) -> None:
    """virsh failed, and told which command the agent lacks; domhostname keeps that to itself."""
    assert result.returncode == 1
    assert re.search(f"The command {needed} has not been found|no hostname found", result.stderr)
