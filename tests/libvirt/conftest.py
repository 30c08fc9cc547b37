"""Fixtures: one libvirtd and one domain for all tests; the domain boots again where a test left it unusable."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.guest.logins import Login, seat_login
from tests.libvirt.daemon import missing
from tests.libvirt.domain import QGA, Domain, running_domain
from tests.vm.emulated import EVENTD

SYSTEM_AGENT = "guestmux-system-agent.service"

STOCK = "stock-agent.service"

STOCK_COMMAND = ("qemu-ga", "--method=virtio-serial", f"--path=/dev/virtio-ports/{QGA}")


@pytest.fixture(scope="session")
def defined_domain() -> Iterator[Domain]:
    if what := missing():
        pytest.skip(what)
    with running_domain() as domain:
        yield domain


@pytest.fixture(params=["guestmux", "qemu-ga"], scope="module")
def agent(request: pytest.FixtureRequest) -> str:
    """Who serves libvirt: eventd, and the stock agent to tell what libvirt makes of an agent that has all commands."""
    return str(request.param)


@pytest.fixture
def domain(defined_domain: Domain, request: pytest.FixtureRequest) -> Iterator[Domain]:
    """A booted domain, both of whose channels eventd has open; or as `agent` says."""
    failed_before = request.session.testsfailed
    if defined_domain.state() == "shut off":
        defined_domain.start_again()
    stock = "agent" in request.fixturenames and request.getfixturevalue("agent") == "qemu-ga"
    have_agent(defined_domain, stock)
    yield defined_domain
    if request.session.testsfailed > failed_before:
        defined_domain.start_again()


@pytest.fixture
def served(domain: Domain, agent: str) -> set[str]:
    """The commands that `agent` has, by its own word."""
    return domain.enabled() if agent == "qemu-ga" else commands_of_eventd(domain)


@pytest.fixture
def served_by_eventd(domain: Domain) -> set[str]:
    """The commands that eventd has."""
    return commands_of_eventd(domain)


@pytest.fixture
def log_in(domain: Domain) -> Iterator[Callable[[str], Login]]:
    """Give a user a graphical session on seat0; ended after the test."""
    with ExitStack() as stack:
        yield lambda user: stack.enter_context(seat_login(domain, user))
    domain.wait_for("the sessions' end", lambda: not domain.sessions())


def commands_of_eventd(domain: Domain) -> set[str]:
    """The commands that eventd has; those of the system agent too, where it runs."""
    if domain.systemctl("is-active", SYSTEM_AGENT, check=False) == "active":
        domain.wait_for("the system agent's commands", lambda: "guest-get-time" in domain.enabled())
    return domain.enabled()


def have_agent(domain: Domain, stock: bool) -> None:
    """Have the stock agent at libvirt's channel, or eventd."""
    if stock != (domain.systemctl("is-active", STOCK, check=False) == "active"):
        domain.systemctl("stop", EVENTD if stock else STOCK)
        if stock:
            domain.run(["systemd-run", "--quiet", "--collect", f"--unit={STOCK}", *STOCK_COMMAND])
        else:
            domain.systemctl("start", EVENTD)
    domain.wait_for("an agent at libvirt's channel", lambda: domain.channel_state(QGA) == "connected")
