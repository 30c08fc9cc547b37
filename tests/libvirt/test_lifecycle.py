"""Who comes and goes: eventd, as `virsh event` tells it, and libvirtd, as eventd takes it."""

import pytest

from guestmux import blocking
from tests.libvirt.domain import GUESTMUX, QGA, Domain
from tests.libvirt.listener import listening
from tests.vm.emulated import EVENTD

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(300)]


def test_agent_lifecycle(domain: Domain) -> None:
    with listening(domain) as listener:
        domain.systemctl("stop", EVENTD)
        assert listener.expect(
            "'agent-lifecycle' for domain 'desktop7': state: 'disconnected' reason: 'channel event'"
        )
        refused = domain.virsh("qemu-agent-command", '{"execute": "guest-ping"}', check=False)
        assert "QEMU guest agent is not connected" in refused.stderr
        domain.systemctl("start", EVENTD)
        assert listener.expect(
            "'agent-lifecycle' for domain 'desktop7': state: 'connected' reason: 'channel event'"
        )
        assert domain.agent_command("guest-ping") == {}


def test_a_killed_eventd_is_back_before_libvirt_asks_again(domain: Domain) -> None:
    with listening(domain) as listener:
        domain.systemctl("kill", "--signal=KILL", EVENTD)
        assert listener.expect("state: 'disconnected'")
        assert listener.expect("state: 'connected'")
    assert domain.agent_command("guest-ping") == {}


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_libvirtd_goes_and_comes(domain: Domain, signal: str) -> None:
    before = domain.eventd_pid()
    with blocking.connect(f"unix:{domain.guestmux}") as guest:
        domain.libvirt.stop(signal)
        guest.ping()
        domain.libvirt.start()
        guest.ping()
    assert (domain.channel_state(QGA), domain.channel_state(GUESTMUX)) == ("connected", "connected")
    assert domain.agent_command("guest-sync", id=1) == 1
    assert domain.eventd_pid() == before
