"""What eventd tells of the machine itself, from its sandbox: its network, which eventd is not in, and its packages."""

from collections.abc import Iterator

import pytest

from tests.guest.rig import Guest, booted_guest
from tests.support.wire_host import WireHost

pytestmark = pytest.mark.guest

# The ioctls of netdevice(7) by the guest's own python3: it has no ip(8).
SWITCH = """
import fcntl, socket, struct, sys
SIOCSIFFLAGS = 0x8914
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", sys.argv[1] == "up"))
"""


PACKAGE = """
set -e
mkdir -p /tmp/package/DEBIAN
cat >/tmp/package/DEBIAN/control <<END
Package: guestmux-test
Version: $1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a package of a test
END
dpkg-deb --build /tmp/package /tmp/package.deb
dpkg --install /tmp/package.deb
"""


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    with booted_guest() as guest:
        yield guest


def switch(guest: Guest, state: str) -> None:
    guest.run(["python3", "-c", SWITCH, state])


def test_links_and_addresses_are_told_as_they_change(guest: Guest) -> None:
    with WireHost(guest.port("qmp")).greeted() as host:
        host.ask("guest-event-subscribe", events=["NETWORK_*"])
        switch(guest, "down")
        [down] = host.event("NETWORK_CHANGED")["interfaces"]
        assert (down["name"], down["up"]) == ("lo", False)
        switch(guest, "up")
        [up] = host.event("NETWORK_CHANGED")["interfaces"]
        assert up["up"] is True
        assert up["ip-addresses"][0] == {"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}


def test_a_notice_does_not_start_an_eventd_that_was_stopped(guest: Guest) -> None:
    guest.systemctl("stop", "guestmux-eventd.service")
    switch(guest, "down")
    switch(guest, "up")
    assert (
        guest.run(["systemctl", "is-active", "guestmux-eventd.service"], check=False).stdout.strip()
        == "inactive"
    )
    guest.systemctl("start", "guestmux-eventd.service")


def install(guest: Guest, version: str) -> None:
    guest.run(["sh", "-c", PACKAGE, "-", version])


def test_what_is_installed_upgraded_and_removed_is_told(guest: Guest) -> None:
    with WireHost(guest.port("qmp")).greeted() as host:
        host.ask("guest-event-subscribe", events=["PACKAGES_*"])
        install(guest, "1")
        told = host.event("PACKAGES_CHANGED")
        assert told["installed"] == [{"name": "guestmux-test", "architecture": "all", "version": "1"}]
        install(guest, "2")
        told = host.event("PACKAGES_CHANGED")
        assert told["upgraded"] == [{"name": "guestmux-test", "architecture": "all", "from": "1", "to": "2"}]
        guest.run(["dpkg", "--remove", "guestmux-test"])
        assert [package["name"] for package in host.event("PACKAGES_CHANGED")["removed"]] == ["guestmux-test"]


def test_the_end_of_the_boot_is_told() -> None:
    with booted_guest() as fresh, WireHost(fresh.port("qmp")).greeted() as host:
        epoch = host.ask("guest-event-subscribe", events=["GUEST_READY"])["return"]["epoch"]
        # The guest counts as booted here when it has a login prompt, which may be before systemd is done.
        host.ask("guest-event-subscribe", events=["GUEST_READY"], since={"epoch": epoch, "seq": 0})
        told = host.event("GUEST_READY")
    assert 0 < told["userspace"] <= told["total"] < 600


def configure(guest: Guest, options: str) -> None:
    """Have eventd run with these as well."""
    with guest.container.path("/etc/guestmux/eventd.toml").open("r+") as file:
        given = file.read()
        file.seek(0)
        file.write(f"{options}\n{given}")
    guest.systemctl("restart", "guestmux-eventd.service")


def test_units_that_fail_are_told_where_that_is_wanted(guest: Guest) -> None:
    configure(guest, "unit-failures = true")
    with WireHost(guest.port("qmp")).greeted() as host:
        host.ask("guest-event-subscribe", events=["UNIT_FAILED"])
        guest.run(["systemd-run", "--unit=doomed", "false"])
        assert host.event("UNIT_FAILED")["unit"] == "doomed.service"
        guest.systemctl("reset-failed", "doomed.service")


@pytest.mark.timeout(120)
def test_a_disk_that_is_mounted_and_filled_under_a_running_eventd(own_guest: Guest) -> None:
    """The sandbox has mounts of its own; what is mounted later must be seen there, too."""
    guest = own_guest
    configure(guest, 'disk-pressure = ["/mnt", "/"]\ndisk-pressure-percent = 50')
    with WireHost(guest.port("qmp"), MORE_THAN_A_LOOK).greeted() as host:
        host.ask("guest-event-subscribe", events=["DISK_*"], since=start_of(host))
        guest.run("mount -t tmpfs -o size=1m tmpfs /mnt && head -c 600000 /dev/zero >/mnt/filler")
        while (told := host.event("DISK_PRESSURE"))["path"] != "/mnt":
            pass
    assert (told["active"], told["total"], told["percent"]) == (True, 1 << 20, 58)


MORE_THAN_A_LOOK = 70.0
"""Seconds: eventd looks every minute."""


def start_of(host: WireHost) -> dict[str, object]:
    """Where this run of eventd's began; its journal may go on from earlier ones."""
    return {"epoch": host.ask("guest-info")["return"]["events"]["epoch"], "seq": 0}


def test_what_the_sandbox_hides_is_said_and_how_it_is_seen(own_guest: Guest) -> None:
    guest = own_guest
    guest.run("mount -t tmpfs -o size=1m tmpfs /home && head -c 1000000 /dev/zero >/home/filler")
    configure(guest, 'disk-pressure = ["/home", "/home/.guestmux"]')
    reason = "eventd may not look there; is it behind ProtectHome="
    lines = [f"no DISK_PRESSURE of {path} for now: {reason}" for path in ("/home", "/home/.guestmux")]
    guest.wait_for("the reasons", lambda: all(line in log_of_eventd(guest) for line in lines))
    assert "eventd does not see /home, /home/.guestmux: ProtectHome=yes" in doctor(guest)
    guest.run(["sh", "-c", LET_IT_SEE])
    guest.systemctl("restart", "guestmux-eventd.service")
    with WireHost(guest.port("qmp")).greeted() as host:
        host.ask("guest-event-subscribe", events=["DISK_*"], since=start_of(host))
        told = host.event("DISK_PRESSURE")
    assert (told["path"], told["total"], told["percent"]) == ("/home/.guestmux", 1 << 20, 96)
    assert "told from 90 % on" in doctor(guest)


# As eventd.toml(5) has it.
LET_IT_SEE = """
mkdir -m 755 /home/.guestmux
mkdir -p /etc/systemd/system/guestmux-eventd.service.d
cat >/etc/systemd/system/guestmux-eventd.service.d/home.conf <<END
[Service]
ProtectHome=tmpfs
BindReadOnlyPaths=/home/.guestmux
END
systemctl daemon-reload
"""


def log_of_eventd(guest: Guest) -> str:
    return guest.journal("-u", "guestmux-eventd")


def doctor(guest: Guest) -> str:
    return guest.run(["guestmux-eventd", "--doctor"], check=False).stdout
