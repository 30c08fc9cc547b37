"""`virsh shutdown --mode agent`. It leaves no domain for others, and so this file's name comes last."""

import pytest

from tests.libvirt.domain import Domain
from tests.libvirt.test_agent_commands import assert_refused

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(300)]


def test_shutdown_by_the_agent(domain: Domain, served_by_eventd: set[str]) -> None:
    needed = "guest-shutdown"
    result = domain.virsh("shutdown", "--mode", "agent", check=False)
    if needed in served_by_eventd:
        assert result.returncode == 0, result.stderr
        domain.wait_state("shut off")
    else:
        assert_refused(result, needed)
        assert domain.state() == "running"
