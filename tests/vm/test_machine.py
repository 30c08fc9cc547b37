"""What befalls a whole machine, and what its host is told of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from guestmux import Session, blocking
from guestmux.event import Disconnected, Event, Item
from tests.support.wire_host import WireHost
from tests.vm.emulated import WAIT_SECONDS
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

STREAM_SECONDS = 200


def named(items: Iterator[Item], *names: str) -> list[str]:
    """Read until events of these names came; gives what came, by name or kind."""
    seen: list[str] = []
    for item in items:
        seen.append(item.name if isinstance(item, Event) else type(item).__name__)
        if set(names) <= set(seen):
            return seen
    raise AssertionError(f"not all of {names} came: {seen}")


def test_reboot(machine: Machine, guest: blocking.Guest) -> None:
    with guest.events("POWER_*", timeout=STREAM_SECONDS) as stream:
        machine.reboot()
        assert named(iter(stream), "Reconnected") == ["POWER_SHUTDOWN", "Disconnected", "Reconnected"]
        guest.ping()


def test_suspend_and_resume(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted("oob")
        before = host.ask("guest-event-subscribe", events=["POWER_*"])["return"]
        machine.suspend()
        sleep = host.event("POWER_SLEEP")
        machine.wake_up()
        resume = host.event("POWER_RESUME")
        # The clock is set in between, which may be told as well.
        assert sleep["epoch"] == resume["epoch"] == before["epoch"]
        assert before["seq"] < sleep["seq"] < resume["seq"]
        assert host.ask("guest-ping")["return"] == {}


def test_a_power_cut(machine: Machine, guest: blocking.Guest) -> None:
    with guest.events("POWER_*", timeout=STREAM_SECONDS) as stream:
        machine.cut_power()
        assert named(iter(stream), "Reconnected") == ["Disconnected", "Reconnected"]
        guest.ping()


def test_migration(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted("oob")
        before = host.ask("guest-event-subscribe", events=["*"])["return"]
        machine.migrate()
        with pytest.raises(EOFError):
            host.message()
    machine.wait_for("the host's leaving", lambda: not machine.has_host())
    with machine.host("qmp") as host:
        host.greeted("oob")
        since = {"epoch": before["epoch"], "seq": before["seq"]}
        after = host.ask("guest-event-subscribe", events=["*"], since=since)["return"]
        assert (after["epoch"], after["seq"]) == (before["epoch"], before["seq"])


def test_migration_to_where_a_host_waits_already(machine: Machine) -> None:
    with machine.host("qmp") as host:
        host.greeted("oob")
        with machine.migrating() as there:
            waiting = WireHost(there.socket("qmp"), WAIT_SECONDS)
            # As the SDK begins: the guest, which saw one host all the time, does not greet anybody.
            waiting.send(b"\xff")
            waiting.request("guest-sync-delimited", id=5)
    with waiting:
        assert waiting.reply("guest-sync-delimited")["return"] == 5


def test_migration_to_where_the_sdk_waits_already(machine: Machine) -> None:
    with ThreadPoolExecutor() as pool, machine.host("qmp") as host:
        host.greeted("oob")
        with machine.migrating() as there:
            waiting = pool.submit(sessions_of, f"unix:{there.socket('qmp')}")
            there.wait_host("qmp")
        assert waiting.result() == []


def sessions_of(address: str) -> list[Session]:
    """What the SDK gets, when it gets through."""
    with blocking.connect(address, timeout=STREAM_SECONDS, reconnect=False) as guest:
        return guest.sessions()


def test_the_sdk_finds_the_guest_where_it_migrated_to(machine: Machine) -> None:
    address = f"unix:{machine.qemu.socket('qmp')}"
    with blocking.connect(address, reconnect=False) as guest, guest.events() as stream:
        position = stream.position
        machine.migrate()
        assert isinstance(next(stream), Disconnected)
    with blocking.connect(f"unix:{machine.qemu.socket('qmp')}") as guest:
        stream = guest.events(since=position, timeout=10)
        assert list(stream) == []  # it goes on where it was, and nothing was lost
        assert stream.position == position
