"""The journal under the real unit, in its sandbox: across restarts, a freeze, and what can be wrong with a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.guest.event_host import EventHost
from tests.guest.logins import terminal_login
from tests.guest.rig import Guest
from tests.guest.state_disk import EVENTD, STATE, state_disk

pytestmark = [pytest.mark.guest, pytest.mark.timeout(180)]

LOGINS = ("SESSION_LOGIN", "SESSION_LOGOUT")
ONLY_CHANGES = 3600
"""Seconds between beacons, where only those count that come because something changed."""

BOOT = "GUESTMUX_BOOT_ID"
DROP_IN = f"/run/systemd/system/{EVENTD}.d"

RECOVERY_SECONDS = 45.0
"""eventd tries a journal again that cannot be used every 30 seconds."""


@contextmanager
def connected(guest: Guest, patience: float = 20.0) -> Iterator[EventHost]:
    with EventHost(guest.port("qmp"), patience).greeted() as host:
        yield host


def visit(guest: Guest, user: str) -> None:
    """Log in and out."""
    with terminal_login(guest, user):
        pass


def kill(guest: Guest) -> None:
    """As a crash would end eventd; systemd starts it again."""
    before = main_pid(guest)
    guest.systemctl("kill", "--signal=KILL", EVENTD)
    guest.wait_for(
        "the next eventd",
        lambda: main_pid(guest) != before and guest.systemctl("is-active", EVENTD, check=False) == "active",
        30,
    )


def main_pid(guest: Guest) -> str:
    return guest.systemctl("show", "--value", "--property=MainPID", EVENTD)


def in_order(told: list[dict[str, Any]]) -> list[str]:
    assert [data["seq"] for data in told] == sorted({data["seq"] for data in told})
    return [data["user"] for data in told]


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_what_happened_before_is_told_after(own_guest: Guest, how: str) -> None:
    guest = own_guest
    with connected(guest) as host:
        begun = host.subscribe(*LOGINS)
        assert host.ask("guest-info")["return"]["events"]["journal"] == "ok"
        visit(guest, "alice")
        host.until(lambda host: len(host.data(*LOGINS)) == 2)
        before = host.data(*LOGINS)
    wait_stored(guest)
    kill(guest) if how == "kill" else guest.systemctl("restart", EVENTD)
    visit(guest, "bob")
    with connected(guest) as host:
        after = host.subscribe(*LOGINS, since={"epoch": begun["epoch"], "seq": begun["seq"]})
        host.until(lambda host: len(host.data(*LOGINS)) == 4)
    assert host.data(*LOGINS)[:2] == before
    assert in_order(host.data(*LOGINS)) == ["alice", "alice", "bob", "bob"]
    assert after["epoch"] != begun["epoch"]
    lost = [(data["reason"], data["from"] > before[-1]["seq"]) for data in host.data("EVENTS_LOST")]
    assert lost == ([("crash", True)] if how == "kill" else [])


def test_a_session_is_told_once_however_often_eventd_is_started(own_guest: Guest) -> None:
    guest = own_guest
    with connected(guest) as host:
        since = position(host.subscribe())
    with terminal_login(guest, "alice") as alice:
        with connected(guest) as host:
            host.subscribe("AGENT_REGISTERED", since=since)
            host.until(
                lambda host: alice.session in {data["session"] for data in host.data("AGENT_REGISTERED")}
            )
        wait_stored(guest)
        guest.systemctl("restart", EVENTD)
        kill(guest)
        visit(guest, "bob")
        with connected(guest) as host:
            host.subscribe(*LOGINS, "AGENT_*", since=since)
            host.until(lambda host: "bob" in {data["user"] for data in host.data("SESSION_LOGOUT")})
        assert in_order(host.data(*LOGINS)) == ["alice", "bob", "bob"]
        assert goes_before_it_is_back(host.told, alice.session)
        # As after a reboot in which logind gives the same ids again.
        assert boot_of(guest) == guest.run("tr -d - </proc/sys/kernel/random/boot_id").stdout.strip()
        guest.run(f"mkdir -p {DROP_IN}; printf '[Service]\\nEnvironment={BOOT}=0\\n' >{DROP_IN}/boot.conf")
        guest.systemctl("daemon-reload")
        guest.systemctl("restart", EVENTD)
        with connected(guest) as later:
            later.subscribe(*LOGINS, since=position(host.data(*LOGINS)[-1]))
            later.until(lambda host: bool(host.data("SESSION_LOGIN")))
        told = [(data["session"], data.get("reason")) for data in later.data(*LOGINS)]
        assert told == [(alice.session, "reboot"), (alice.session, None)]


def position(data: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": data["epoch"], "seq": data["seq"]}


def goes_before_it_is_back(told: list[dict[str, Any]], session: str) -> bool:
    """Whether the session's agent was gone each time before it was there by another run of eventd."""
    there = ""
    for message in told:
        data = message["data"]
        if message["event"] == "AGENT_REGISTERED" and data["session"] == session:
            if there not in ("", data["epoch"]):
                return False
            there = data["epoch"]
        elif message["event"] == "AGENT_GONE" and data["session"] == session:
            there = ""
    return bool(there)


def boot_of(guest: Guest) -> str:
    """What the unit tells eventd of the boot."""
    environment = guest.run(f"tr '\\0' '\\n' </proc/{main_pid(guest)}/environ").stdout.splitlines()
    return dict(line.split("=", 1) for line in environment)[BOOT]


def wait_stored(guest: Guest) -> None:
    """Wait until the journal rests: what was told is on disk a twentieth of a second later, and this is a fifth."""
    seen: list[object] = []

    def rests() -> bool:
        seen.append(written(guest))
        return seen[-10:] == seen[-1:] * 10

    guest.wait_for("the journal's rest", rests)


def written(guest: Guest) -> list[tuple[str, int, int]]:
    """The files of the state directory with their sizes and times."""
    folder = guest.container.path(STATE)
    found = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return [(name, status.st_size, status.st_mtime_ns) for name, status in found]


def thread_states(guest: Guest) -> set[str]:
    """What the threads of eventd do, as proc_pid_stat(5) has it."""
    pid = main_pid(guest)
    return set(guest.run(f"cut -d' ' -f3 /proc/{pid}/task/*/stat").stdout.split())


def test_a_freeze_keeps_everything_for_the_thaw(own_guest: Guest, tmp_path: Path) -> None:
    guest = own_guest
    with state_disk(guest, tmp_path) as disk:
        with connected(guest) as host:
            guest.wait_for("the system agent", lambda: "return" in host.ask("guest-fsfreeze-status"))
            begun = host.subscribe("SESSION_*", "BEACON", beacon=ONLY_CHANGES)
            visit(guest, "alice")
            host.until(lambda host: len(host.data(*LOGINS)) == 2)
            wait_stored(guest)
            assert host.ask("guest-fsfreeze-freeze-list", mountpoints=[disk])["return"] == 1
            host.until(lambda host: host.data("BEACON")[-1]["frozen"])
            at_rest = written(guest)
            visit(guest, "bob")
            host.until(lambda host: len(host.data(*LOGINS)) == 4)
            assert host.ask("guest-ping")["return"] == {}
            assert host.ask("guest-info")["return"]["events"]["frozen"] is True
            assert written(guest) == at_rest
            # Whoever wrote would wait in the kernel.
            assert "D" not in thread_states(guest)
            assert host.ask("guest-fsfreeze-thaw")["return"] == 1
            host.until(lambda host: not host.data("BEACON")[-1]["frozen"])
            told = host.data(*LOGINS)
        assert [data["journal"] for data in host.data("BEACON")] == ["ok"] * 3
        guest.wait_for("the journal's work", lambda: written(guest) != at_rest)
        wait_stored(guest)
        kill(guest)
        with connected(guest) as host:
            host.subscribe(*LOGINS, since={"epoch": begun["epoch"], "seq": begun["seq"]})
            host.until(lambda host: len(host.data(*LOGINS)) == 4)
            assert host.data(*LOGINS) == told
            assert in_order(told) == ["alice", "alice", "bob", "bob"]


def test_an_eventd_that_is_killed_in_a_freeze_is_back_before_the_thaw(
    own_guest: Guest, tmp_path: Path
) -> None:
    """The next one cannot open its journal; it serves all the same, and opens it when it can."""
    guest = own_guest
    with state_disk(guest, tmp_path) as disk:
        with connected(guest) as host:
            guest.wait_for("the system agent", lambda: "return" in host.ask("guest-fsfreeze-status"))
            visit(guest, "alice")
            wait_stored(guest)
            assert host.ask("guest-fsfreeze-freeze-list", mountpoints=[disk])["return"] == 1
        kill(guest)
        with connected(guest) as host:
            host.subscribe("SESSION_*", "BEACON", beacon=ONLY_CHANGES)
            host.until(lambda host: any(data["frozen"] for data in host.data("BEACON")))
            assert host.data("BEACON")[-1]["journal"] == "io"
            visit(guest, "bob")
            host.until(lambda host: len(host.data(*LOGINS)) == 2)
            assert host.ask("guest-fsfreeze-thaw")["return"] == 1
            host.until(lambda host: host.data("BEACON")[-1]["journal"] == "ok")
            visit(guest, "bob")
            host.until(lambda host: len(host.data(*LOGINS)) == 4)
            # The numbers that it gave out were used before: it begins anew, says so, and then which ones are gone.
            assert [data["reason"] for data in host.data("EVENTS_LOST")] == ["new-epoch", "not-stored"]
        assert log_of(guest).count("events are stored again") == 1


def journal_state(guest: Guest) -> str:
    with connected(guest) as host:
        return str(host.ask("guest-info")["return"]["events"]["journal"])


def log_of(guest: Guest) -> str:
    return guest.journal("-u", EVENTD, "--output=cat")


def test_a_full_disk_is_told_and_so_is_its_end(own_guest: Guest, tmp_path: Path) -> None:
    guest = own_guest
    with state_disk(guest, tmp_path) as disk, connected(guest, RECOVERY_SECONDS) as host:
        host.subscribe("SESSION_*", "BEACON", beacon=ONLY_CHANGES)
        guest.run(f"cat /dev/zero >{disk}/ballast", check=False)
        # What is written fits into pages that the log has already, for a while.
        for _ in range(40):
            visit(guest, "alice")
            if host.ask("guest-info")["return"]["events"]["journal"] != "ok":
                break
        host.until(lambda host: host.data("BEACON")[-1]["journal"] == "full")
        assert "journal.sqlite: no room left" in log_of(guest)
        guest.run(f"rm {disk}/ballast")
        host.until(lambda host: host.data("BEACON")[-1]["journal"] == "ok")
        assert "journal.sqlite: events are stored again" in log_of(guest)
        assert host.data("EVENTS_LOST") == []


def test_a_disk_that_is_read_only(own_guest: Guest, tmp_path: Path) -> None:
    guest = own_guest
    with state_disk(guest, tmp_path) as disk:
        guest.systemctl("stop", EVENTD)
        guest.run(f"mount -o remount,ro {disk}")
        guest.systemctl("start", EVENTD)
        assert journal_state(guest) == "read-only"
        assert "Read-only file system; events are kept in memory only" in log_of(guest)


def test_a_journal_of_somebody_elses(own_guest: Guest) -> None:
    guest = own_guest
    guest.systemctl("stop", EVENTD)
    guest.run(f"chown root {STATE}/journal.sqlite")
    guest.systemctl("start", EVENTD)
    assert journal_state(guest) == "owner"
    assert f"{STATE}/journal.sqlite: belongs to uid 0" in log_of(guest)
    # Its own directory systemd gives back to it at each start.
    guest.run(f"chown root {STATE} {STATE}/journal.sqlite")
    guest.systemctl("restart", EVENTD)
    assert journal_state(guest) == "ok"


def test_bytes_that_were_turned_over(own_guest: Guest) -> None:
    guest = own_guest
    visit(guest, "alice")
    guest.systemctl("stop", EVENTD)
    with guest.container.path(f"{STATE}/journal.sqlite").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(b"\xa5" * 512)
    guest.systemctl("start", EVENTD)
    with connected(guest) as host:
        guest.wait_for("a new journal", lambda: "put aside as journal.sqlite.corrupt" in log_of(guest))
        assert host.ask("guest-info")["return"]["events"]["journal"] == "ok"
        host.subscribe("SESSION_*", since={"epoch": "0" * 32, "seq": 0})
        visit(guest, "bob")
        host.until(lambda host: len(host.data(*LOGINS)) >= 2)
        assert host.data("EVENTS_LOST")[0]["reason"] == "new-epoch"


def test_a_journal_that_is_removed_while_it_is_in_use(own_guest: Guest) -> None:
    guest = own_guest
    with connected(guest) as host:
        begun = host.subscribe(*LOGINS)
        visit(guest, "alice")
        host.until(lambda host: len(host.data(*LOGINS)) == 2)
        wait_stored(guest)
        guest.run(f"rm {STATE}/journal.sqlite*")
        visit(guest, "bob")
        host.until(lambda host: len(host.data(*LOGINS)) == 4)
        guest.wait_for("a new journal", lambda: "events are stored again" in log_of(guest))
        assert "journal.sqlite: removed while it was in use" in log_of(guest)
        assert host.ask("guest-info")["return"]["events"]["journal"] == "ok"
    wait_stored(guest)
    kill(guest)
    with connected(guest) as host:
        host.subscribe(*LOGINS, since={"epoch": begun["epoch"], "seq": begun["seq"]})
        host.until(lambda host: len(host.data(*LOGINS, "EVENTS_LOST")) == 4)
        assert in_order(host.data(*LOGINS)) == ["bob", "bob"]
        assert [data["reason"] for data in host.data("EVENTS_LOST")] == ["not-stored", "crash"]


def test_a_directory_that_is_removed_while_it_is_in_use(own_guest: Guest) -> None:
    guest = own_guest
    with connected(guest) as host:
        host.subscribe(*LOGINS, "BEACON", beacon=ONLY_CHANGES)
        guest.run(f"rm -r {STATE}")
        visit(guest, "alice")
        host.until(lambda host: len(host.data(*LOGINS)) == 2 and host.data("BEACON")[-1]["journal"] != "ok")
        assert host.data("BEACON")[-1]["journal"] == "absent"
    # systemd makes it anew.
    guest.systemctl("restart", EVENTD)
    assert journal_state(guest) == "ok"
    assert guest.run(f"stat -c '%U %a' {STATE}").stdout == "guestmux 700\n"
