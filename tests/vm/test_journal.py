"""What a host with a cursor file is told of real logins, whatever befalls the machine's power, disk and memory."""

import re
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from guestmux import blocking
from guestmux.event import Event, Gap, Reconnected
from tests.guest.logins import terminal_login
from tests.vm.audit import LOGINS, Audit, Deed, Position, account, connected_sdk
from tests.vm.emulated import EVENTD
from tests.vm.machine import Machine, booted_machine
from tests.vm.newer_kernel import NoNewerKernel, with_newer_kernel

# Three boots at most, with the one before the test.
pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

MEMBERS = dict(zip(("SessionNew", "SessionRemoved"), LOGINS, strict=True))

# What logind says goes to the console, which outlives the machine.
WATCH = "setsid busctl monitor --json=short {} >/dev/ttyS0 2>&1 </dev/null &".format(
    " ".join(f"--match=interface=org.freedesktop.login1.Manager,member={member}" for member in MEMBERS)
)
WATCHING = re.compile(r"Monitoring bus message stream")
SEEN = re.compile(r'"member":"(SessionNew|SessionRemoved)"[^\n]*"data":\["([^"]+)"')

# A display manager's way in, again and again, as fast as the machine can.
COME_AND_GO = (
    "setsid sh -c 'while systemd-run --quiet --wait --collect --property=PAMName=login --property=User=bob"
    " --setenv=XDG_SESSION_CLASS=user sleep 0.1;"
    " do :; done' >/dev/null 2>&1 </dev/null &"
)

SOME = 6
"""Logins and logouts; each takes a quarter of a second at least."""


class Witness:
    """Sees on the console what logind says, until the power is cut."""

    def __init__(self, machine: Machine) -> None:
        self._console = machine.qemu.socket("console")
        self._machine = machine
        machine.run(WATCH)
        machine.wait_for("the witness", lambda: WATCHING.search(self._text()))

    def seen(self) -> list[Deed]:
        """All so far."""
        return [(MEMBERS[member], session) for member, session in SEEN.findall(self._text())]

    def wait_seen(self, count: int) -> None:
        """Wait until it has seen as many."""
        self._machine.wait_for(f"{count} logins and logouts", lambda: len(self.seen()) >= count)

    def _text(self) -> str:
        return self._console.read_text(errors="replace")


def visit(machine: Machine, audit: Audit, user: str = "alice") -> None:
    """Log in and out, and have both told."""
    with terminal_login(machine, user) as login:
        audit.until_told("SESSION_LOGIN", login.session)
        login.logout()
        audit.until_told("SESSION_LOGOUT", login.session)


def test_the_power_is_cut_while_people_log_in(
    machine: Machine, guest: blocking.Guest, tmp_path: Path
) -> None:
    audit = Audit(tmp_path / "cursor")
    with audit.listening(guest):
        visit(machine, audit)
        witness = Witness(machine)
        machine.run(COME_AND_GO)
        for _ in range(SOME):
            audit.until(lambda item: isinstance(item, Event))
        machine.qemu.kill()
        seen = witness.seen()
        machine.cut_power()
        back = audit.until(lambda item: isinstance(item, Reconnected))
        assert isinstance(back, Reconnected)
        assert back.snapshot.sessions == []
        visit(machine, audit)
    assert set(audit.gaps) == {"crash"}
    account(seen, audit.items[2:-2])


def test_the_power_is_cut_while_the_host_is_away(machine: Machine, tmp_path: Path) -> None:
    audit = Audit(tmp_path / "cursor")
    with audit.connected(machine):
        visit(machine, audit)
    machine.wait_for("the host's leaving", lambda: not machine.has_host())
    witness = Witness(machine)
    machine.run(COME_AND_GO)
    witness.wait_seen(SOME)
    stored = witness.seen()
    # eventd writes twenty times a second, the kernel when it is told to.
    machine.run("sleep 1; sync")
    witness.wait_seen(len(witness.seen()) + SOME)
    machine.qemu.kill()
    seen = witness.seen()
    machine.cut_power()
    with audit.connected(machine):
        visit(machine, audit)
    assert audit.gaps == ["crash"]
    account(seen, audit.items[2:-2])
    account(stored, [item for item in audit.items if isinstance(item, Event)])


def test_a_disk_that_is_set_back_and_a_copy_of_it(machine: Machine, tmp_path: Path) -> None:
    """Three hosts: one was last there before the snapshot, one after it, and one in the next run of eventd."""
    _, late, later = audits = [Audit(tmp_path / name) for name in ("early", "late", "later")]
    before = meet(machine, *audits)
    machine.run("sync")
    snapshot = machine.snapshot_disk()
    meet(machine, late, later)
    machine.systemctl("restart", EVENTD)
    meet(machine, later)

    machine.set_disk_back(snapshot)
    set_back = meet(machine, *audits)
    # The run that was going on when the snapshot was taken ended in a crash, for the disk; it knows of no later one.
    assert [audit.gaps[0] for audit in audits] == ["crash", "crash", "new-epoch"]

    # A copy with a name of its own, where nothing of what happened on the other is told.
    machine.set_disk_back(snapshot, f"systemd.machine_id={uuid.uuid4().hex}")
    copy = meet(machine, *audits)
    assert [audit.gaps[-1] for audit in audits] == ["new-epoch"] * 3
    assert {epoch for epoch, _ in copy}.isdisjoint(epoch for epoch, _ in [*before, *set_back])
    assert all(isinstance(audit.items[-3], Gap) for audit in audits)


def test_memory_that_is_set_back_twice(machine: Machine, tmp_path: Path) -> None:
    """Without a VM generation id, which Debian 12's cloud kernel has no driver for, it is the host that finds out."""
    audit = Audit(tmp_path / "cursor")
    before = meet(machine, audit)
    machine.save_memory()
    lost = meet(machine, audit)
    machine.set_memory_back()
    set_back = meet(machine, audit)
    machine.set_memory_back()
    again = meet(machine, audit)
    # The second time it knows nothing of the run that it began the first time.
    assert audit.gaps == ["rolled-back", "new-epoch"]
    assert set_back[0][0] != again[0][0]
    assert len({*before, *lost, *set_back, *again}) == 8, "no position is given out twice"


def test_copies_of_memory_begin_runs_of_their_own(tmp_path: Path) -> None:
    """With a VM generation id it is the guest that finds out, at once, before any host comes."""
    try:
        image = with_newer_kernel()
    except NoNewerKernel as error:
        pytest.skip(str(error))
    audit = Audit(tmp_path / "cursor")
    # Each start of QEMU is another generation.
    with booted_machine(image, "-device", "vmgenid,guid=auto") as machine:
        meet(machine, audit)
        machine.save_memory()
        for copy in ("a copy", "another copy"):
            machine.set_memory_back()
            machine.wait_for(copy, lambda: "has a new generation id" in machine.said_since_start())
            # What the first copy's host is told has a number that the second one gives out, too.
            with terminal_login(machine, "bob") as login:
                login.logout()
            with audit.connected(machine):
                audit.until_told("SESSION_LOGOUT", login.session)
        assert audit.gaps == ["new-epoch"]


def meet(machine: Machine, *audits: Audit) -> list[Position]:
    """Have somebody log in and out, and hosts hear of it, all on one connection; gives the positions."""
    with ExitStack() as stack:
        guest = stack.enter_context(connected_sdk(machine))
        for audit in audits:
            stack.enter_context(audit.listening(guest))
        with terminal_login(machine, "alice") as login:
            login.logout()
        epoch = guest.call("guest-info")["events"]["epoch"]
        for audit in audits:
            # Of other boots there may have been sessions with the same id.
            audit.until_told("SESSION_LOGOUT", login.session, epoch)
    machine.wait_for("the hosts' leaving", lambda: not machine.has_host())
    [positions] = {tuple(audit.events)[-2:] for audit in audits}
    return list(positions)
