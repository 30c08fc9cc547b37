"""The channels of docs/install.md in a domain: libvirt's own on one, guestmux's host programs on the other."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guestmux import blocking
from guestmux.event import Event
from tests.guest.logins import Login
from tests.libvirt.domain import GUESTMUX, QGA, Domain, documented_channel, documented_commands
from tests.vm.emulated import EVENTD

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(300)]


def test_eventd_has_both_open(domain: Domain) -> None:
    assert {name: domain.channel_state(name) for name in (GUESTMUX, QGA)} == {
        GUESTMUX: "connected",
        QGA: "connected",
    }


def test_guestmux_speaks_through_the_socket_that_libvirt_made(
    domain: Domain, log_in: Callable[[str], Login]
) -> None:
    address = f"unix:{domain.guestmux}"
    with blocking.connect(address) as guest, guest.events(timeout=60) as stream:
        session = log_in("alice").session
        event = next(item for item in stream if isinstance(item, Event) and item.name == "SESSION_LOGIN")
        assert (event.data["session"], event.data["user"]) == (session, "alice")
    command = [sys.executable, "-m", "guestmux", "-c", address, "sessions", "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    [listed] = json.loads(printed)
    assert (listed["session"], listed["user"]) == (session, "alice")


@pytest.mark.parametrize("words", documented_commands(), ids=" ".join)
def test_what_the_documentation_has_operators_type(domain: Domain, words: list[str]) -> None:
    assert domain.libvirt.virsh(*words).stdout.strip()


def test_commands_by_virsh(domain: Domain, log_in: Callable[[str], Login]) -> None:
    assert domain.agent_command("guest-ping") == {}
    assert domain.agent_command("guest-sync", id=4711) == 4711
    assert domain.agent_command("guest-get-sessions") == []
    session = log_in("bob").session
    assert [each["session"] for each in domain.agent_command("guest-get-sessions")] == [session]


def test_guestinfo_tells_who_is_logged_in(domain: Domain, log_in: Callable[[str], Login]) -> None:
    assert "user.count          : 0\n" in domain.virsh("guestinfo").stdout
    log_in("alice")
    printed = domain.virsh("guestinfo", "--user").stdout
    assert "user.count          : 1\nuser.0.name         : alice\nuser.0.login-time   : " in printed


def test_what_the_guest_refuses_is_told(domain: Domain) -> None:
    refused = domain.virsh("qemu-agent-command", '{"execute": "guest-nonsense"}', check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        "error: internal error: unable to execute QEMU agent command 'guest-nonsense': "
        "The command guest-nonsense has not been found"
    )


def test_a_channel_unplugged_and_plugged_in_again(domain: Domain, tmp_path: Path) -> None:
    device = tmp_path / "channel.xml"
    device.write_text(documented_channel(GUESTMUX))
    domain.virsh("detach-device", str(device), "--live")
    domain.wait_for("no channel", lambda: domain.channel_state(GUESTMUX) is None)
    domain.systemctl("stop", EVENTD)
    domain.virsh("attach-device", str(device), "--live")
    domain.wait_for("eventd at the channel", lambda: domain.channel_state(GUESTMUX) == "connected")
    with blocking.connect(f"unix:{domain.guestmux}") as guest:
        guest.ping()


def test_many_commands_and_a_host_beside_them(domain: Domain) -> None:
    with blocking.connect(f"unix:{domain.guestmux}") as guest:
        for number in range(20):
            assert domain.agent_command("guest-sync", id=number) == number
            guest.ping()
