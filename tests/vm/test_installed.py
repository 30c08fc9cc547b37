"""guestmux as its packages put it into a machine with real ports: what it may, what it says of itself, how it comes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guest.install import installed_layers
from tests.guest.logins import Login, TerminalLogin
from tests.vm.emulated import EVENTD
from tests.vm.image import PACKAGES_FOLDER, SETUP, VM
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

MAX_EXPOSURE = 1.0
"""Of 10: what is promised of `systemd-analyze security`."""

DPKG_SECONDS = 60.0
"""Emulated, a package comes or goes in a tenth of it."""

INSTALLED_IN_THE_GUEST = (
    "$(dpkg-query --show --showformat='${Package}\\n' 'guestmux-*' | grep -vE -- '-(common|host)$')"
)
FOR_THE_GUEST = f"$(ls {PACKAGES_FOLDER}/*.deb | grep -vE -- '-(common|host)_')"
"""All packages but those that have no part in the guest's ports."""

# The image's root, in which the host's package is installed as well, with a folder of this machine's in it.
ON_THE_HOST = """
set -eu
layers=$1 root=$2 sockets=$3; shift 3
mount -t overlay overlay -o "lowerdir=$layers" "$root"
mount --bind "$sockets" "$root/mnt"
exec chroot "$root" "$@"
"""

Findings = dict[str, dict[str, str]]


def findings(printed: str) -> Findings:
    """What a doctor found, by what it looked at."""
    return {row["check"]: row for row in json.loads(printed)["findings"]}


def test_the_service_can_do_little(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = machine.run(["systemd-analyze", "security", "--no-pager", EVENTD]).stdout.splitlines()[-1]
    with capsys.disabled():
        print(f"\n{verdict}")
    assert float(verdict.split(": ")[1].split()[0]) <= MAX_EXPOSURE
    status = machine.run(["cat", f"/proc/{machine.eventd_pid()}/status"]).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert "0" not in fields["Uid"].split()


def test_eventd_is_given_its_ports_and_no_other(machine: Machine) -> None:
    owners = machine.run("cd /dev/virtio-ports; stat --dereference --format='%n %U %a' *").stdout
    assert owners.splitlines() == [
        "org.guestmux.0 guestmux 600",
        "org.guestmux.test root 600",
        "org.qemu.guest_agent.0 guestmux 600",
    ]


def test_the_doctor_finds_nothing_wrong(machine: Machine, log_in: Callable[[str], TerminalLogin]) -> None:
    alice = log_in("alice")
    with machine.host("qmp") as host:
        host.greeted("oob")
        host.ask("session-get-info", key="exec-oob", session=alice.session, wait=60)
        found = findings(machine.run(["guestmux-eventd", "--doctor", "--json"]).stdout)
    assert {row["level"] for row in found.values()} <= {"ok", "note"}
    assert found["port virtio:org.guestmux.0"]["what"].startswith("eventd holds it")
    assert found["port virtio:org.qemu.guest_agent.0"]["what"].startswith("eventd holds it")
    assert found[f"session {alice.session}"]["level"] == "ok"


def test_the_doctor_tells_a_user_what_he_may_know(machine: Machine) -> None:
    found = findings(machine.run(["guestmux-eventd", "--doctor", "--json"], user="carol").stdout)
    assert {row["level"] for row in found.values()} == {"ok", "note"}
    port = found["port virtio:org.guestmux.0"]
    assert port["level"] == "note"
    assert "only root can see who holds it" in port["what"]


@pytest.mark.parametrize("dialect", ["qmp", "qga"])
def test_the_hosts_doctor_finds_nothing_wrong(machine: Machine, tmp_path: Path, dialect: str) -> None:
    layers = ":".join(map(str, installed_layers(VM, SETUP)))
    inside = ["sh", "-c", ON_THE_HOST, "sh", layers, str(tmp_path), str(machine.qemu.folder)]
    doctor = ["guestmux", "-c", f"unix:/mnt/{dialect}", "doctor", "--json"]
    command = ["unshare", "--mount", "--propagation=private", *inside, *doctor]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    found = findings(done.stdout)
    assert {row["level"] for row in found.values()} <= {"ok", "note"}
    assert found["agent"]["what"].startswith("guestmux-eventd ")


def test_packages_that_go_and_come_under_users_and_a_host(
    machine: Machine, log_in: Callable[[str], TerminalLogin], log_in_on_seat: Callable[[str], Login]
) -> None:
    logins = [log_in("alice"), log_in_on_seat("bob")]
    before = machine.sessions()
    with machine.host("qmp") as host:
        host.greeted()
        machine.run(f"dpkg --purge {INSTALLED_IN_THE_GUEST}", timeout=DPKG_SECONDS)
        owners = machine.run("stat --dereference --format=%U /dev/virtio-ports/*").stdout
        assert set(owners.split()) == {"root"}
        machine.run(f"dpkg --install {FOR_THE_GUEST}", timeout=DPKG_SECONDS)
        host.greeted("oob")
        for login in logins:
            info = host.ask("session-get-info", key="exec-oob", session=login.session, wait=60)["return"]
            assert info["session"] == login.session
    assert machine.sessions() == before
