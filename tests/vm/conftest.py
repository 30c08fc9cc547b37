"""Fixtures: one machine for all tests, booted again only when a test left it unusable."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from guestmux import blocking
from tests.guest.logins import Login, TerminalLogin, seat_login, terminal_login
from tests.vm.emulated import WAIT_SECONDS
from tests.vm.machine import Machine, booted_machine
from tests.vm.qemu import PROGRAM


class Machines:
    """The machine that is up, if any."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._machine: Machine | None = None

    def get(self) -> Machine:
        """The machine; boots one when there is none."""
        if self._machine is None:
            self._machine = self._stack.enter_context(booted_machine())
        return self._machine

    def discard(self) -> None:
        """Switch the machine off."""
        self._machine = None
        self._stack.close()


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is missing: apt-get install qemu-system-x86")
    machines = Machines()
    yield machines
    machines.discard()


@pytest.fixture
def machine(machines: Machines, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A booted machine with eventd running, nobody logged in and no host connected; after the test as well."""
    machine = machines.get()
    failed_before = request.session.testsfailed
    yield machine
    if request.session.testsfailed > failed_before:
        machines.discard()
        return
    machine.wait_for("an empty machine", lambda: not machine.sessions() and not machine.has_host())
    assert machine.eventd_runs()


@pytest.fixture
def log_in(machine: Machine) -> Iterator[Callable[[str], TerminalLogin]]:
    """Log a user in on a serial line; logged out after the test."""
    with ExitStack() as stack:
        yield lambda user: stack.enter_context(terminal_login(machine, user))


@pytest.fixture
def log_in_on_seat(machine: Machine) -> Iterator[Callable[[str], Login]]:
    """Give a user a graphical session on seat0; ended after the test."""
    with ExitStack() as stack:
        yield lambda user: stack.enter_context(seat_login(machine, user))


@pytest.fixture
def guest(machine: Machine) -> Iterator[blocking.Guest]:
    """The SDK, connected to the port of guestmux."""
    with blocking.connect(f"unix:{machine.qemu.socket('qmp')}", timeout=WAIT_SECONDS) as guest:
        yield guest
