"""guestmux-eventd --doctor: each thing that can be wrong in a guest is made wrong, and has to be found."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from guestmux_eventd.config import Config, make_config
from guestmux_eventd.doctor import ports, service, sessions
from guestmux_eventd.doctor.backend import check_backend
from guestmux_eventd.doctor.disks import check_disk_pressure
from guestmux_eventd.doctor.examination import check_config, examine
from guestmux_eventd.doctor.machine import Machine, run_tool
from guestmux_protocol.findings import Finding
from guestmux_protocol.sessions import Session
from guestmux_protocol.version import VERSION
from tests.support.bare_agent import bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.pipes import pty_pair
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

COMMAND = [sys.executable, "-m", "guestmux_eventd", "--doctor"]
USER = "tester"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others have open")


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        yield logind


@pytest.fixture
async def session(logind: StandinLogind) -> str:
    """A session that this process runs in."""
    session = await logind.control.login(USER, os.getuid())
    await logind.control.add_process(session, os.getpid())
    return session


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind, session: str) -> Iterator[Eventd]:
    with running_eventd(bus.address) as eventd:
        yield eventd


@pytest.fixture
def root() -> Iterator[Path]:
    """A machine with nothing on it."""
    with TemporaryDirectory(prefix="guestmux-doctor-") as directory:
        yield Path(directory)


async def doctor(*options: str) -> tuple[int, dict[str, Any]]:
    """Run it as a process; gives exit status and JSON."""
    done = await anyio.run_process([*COMMAND, "--json", *options], check=False)
    assert not done.stderr, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def config_of(*addresses: str, bus: str = "system") -> Config:
    ports = [{"dialect": "qmp", "address": address} for address in addresses]
    return make_config({"port": ports, "bus": bus}, "test")


async def look(machine: Machine, config: Config) -> dict[str, Finding]:
    """Everything that is found, by what was looked at."""
    found = await examine(machine, config, check_config(config, "/x", exists=True), config.bus)
    return {finding.check: finding for finding in found}


def machine_with(root: Path, uid: int = 0, **outputs: str | None) -> Machine:
    """One with systemd, whose tools say this."""

    async def tool(*command: str) -> str | None:
        name = "user" if "--user" in command else command[0]
        return outputs.get(name.replace("-", "_"))

    (root / "run/systemd/system").mkdir(parents=True)
    return Machine(root, tool, uid)


# ---- black box


@ROOT
async def test_all_is_well(bus: PrivateBus, eventd: Eventd, session: str) -> None:
    served = ("--port", f"qmp=unix-listen:{eventd.qmp}", "--port", f"qga=unix-listen:{eventd.qga}")
    async with bare_agent(bus.address) as agent:
        await agent.register("org.example.mine", version=("s", "7"))
        status, report = await doctor("--config", "/dev/null", "--bus", bus.address, *served)
    found = {row["check"]: row for row in report["findings"]}
    assert (status, report["problems"]) == (0, 0), report
    assert found[f"port unix-listen:{eventd.qmp}"]["what"].startswith("eventd listens; owner ")
    assert found["eventd on the bus"]["what"].startswith(f"{VERSION} owns org.guestmux.Manager1 as :")
    assert found["delay inhibitors"]["level"] == "ok"
    assert found["privacy"]["what"] == "by default APP_*, all sessions; withhold title"
    assert found[f"session {session}"]["what"] == f"{USER}: org.example.mine 7"
    assert found["host"] == {
        "level": "note",
        "check": "host",
        "what": "no host is connected",
        "do": "on the host: guestmux doctor -c unix:PATH",
    }


async def test_a_wrong_configuration(root: Path) -> None:
    wrong = root / "eventd.toml"
    wrong.write_text("buss = 1\n")
    status, report = await doctor("--config", str(wrong), "--bus", "unix:path=/nowhere")
    (found,) = [row for row in report["findings"] if row["check"] == "configuration"]
    assert status == 1
    assert found["level"] == "problem"
    assert "unknown field `buss`" in found["what"]


async def test_no_bus(root: Path) -> None:
    status, report = await doctor("--config", "/dev/null", "--bus", f"unix:path={root}/none")
    (found,) = [row for row in report["findings"] if row["check"] == "bus"]
    assert (status, found["level"]) == (1, "problem")
    assert found["what"] == f"no D-Bus at unix:path={root}/none: No such file or directory"


async def test_it_is_read_by_people(bus: PrivateBus, eventd: Eventd, logind: StandinLogind) -> None:
    """Text of others is shown, not obeyed; the last line counts."""
    await logind.control.login("ev\x1b[2Jil", 4242)
    done = await anyio.run_process(
        [*COMMAND, "--config", "/dev/null", "--bus", bus.address], check=False, stderr=None
    )
    lines = done.stdout.decode().splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith(f"{sum(line.startswith('problem ') for line in lines)} problem")
    if os.geteuid() == 0:
        assert any("ev\\x1b[2Jil: no agent is registered" in line for line in lines)


async def test_json_alone_is_a_wrong_usage() -> None:
    done = await anyio.run_process([*COMMAND[:-1], "--json"], check=False)
    assert done.returncode == 2
    assert b"--json goes with --doctor" in done.stderr


# ---- the bus


async def test_no_eventd(root: Path, bus: PrivateBus, logind: StandinLogind) -> None:
    found = await look(Machine(root), config_of(bus=bus.address))
    assert found["eventd on the bus"].what == "nobody owns org.guestmux.Manager1"
    assert found["process"].what == "no eventd is seen running"
    assert {found[name].level for name in ("eventd on the bus", "process")} == {"problem"}
    assert {found[name].level for name in ("bus", "logind")} == {"ok"}


async def test_no_logind(root: Path, bus: PrivateBus) -> None:
    with running_eventd(bus.address):
        found = await look(Machine(root), config_of(bus=bus.address))
    assert found["logind"].level == "problem"
    assert found["eventd on the bus"].level == "ok"


async def test_an_eventd_of_another_version(
    root: Path, bus: PrivateBus, eventd: Eventd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestmux_eventd.doctor.bus.VERSION", "99.0")
    found = (await look(Machine(root), config_of(bus=bus.address)))["eventd on the bus"]
    assert found.level == "problem"
    assert found.what.endswith("but 99.0 is installed")
    assert found.do == "systemctl restart guestmux-eventd"


async def test_a_host_and_what_it_wants(root: Path, bus: PrivateBus, eventd: Eventd) -> None:
    host = await eventd.qmp_host()
    await host.subscribe("SESSION_*")
    found = await look(Machine(root), config_of(bus=bus.address))
    assert (found["host"].level, found["host"].what) == ("ok", "connected; subscribed to SESSION_*")


async def test_inhibitors_that_are_not_held(
    root: Path, bus: PrivateBus, eventd: Eventd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestmux_eventd.doctor.bus.DELAYED", {"sleep", "lunch"})
    found = (await look(Machine(root), config_of(bus=bus.address)))["delay inhibitors"]
    assert found.level == "problem"
    assert found.what.startswith("eventd does not hold up lunch:")


async def test_a_session_without_an_agent(
    root: Path, bus: PrivateBus, eventd: Eventd, logind: StandinLogind
) -> None:
    session = await logind.control.login("alice", 4242)
    everybody = machine_with(
        root, journalctl="agent 'x' of :1.9 refused: process 7 runs in no login session\n"
    )
    found = await look(everybody, config_of(bus=bus.address))
    assert found[f"session {session}"].level == "problem"
    assert found["refusals"].what.endswith("refused: process 7 runs in no login session")
    ordinary = Machine(root, run_tool, uid=4243)
    assert f"session {session}" not in await look(ordinary, config_of(bus=bus.address))


async def test_agents_are_listed_to_their_own_user(bus: PrivateBus, eventd: Eventd, session: str) -> None:
    async with bare_agent(bus.address) as agent:
        await agent.register("org.example.mine", version=("s", "7"))
        assert await agent.manager("ListAgents") == [[(session, "org.example.mine", "7")]]


# ---- sessions


def session_of(name: str, uid: int = 1000, **more: Any) -> Session:
    return Session(session=name, user=f"u{uid}", uid=uid, **more)


def test_what_is_said_of_sessions() -> None:
    logged_in = [
        session_of("c1"),
        session_of("c2"),
        session_of("c3", 1001),
        session_of("c4", 0),
        session_of("c5", 1002, state="closing"),
        session_of("c6", 1003),
    ]
    agents = [
        sessions.Agent("c1", "guestmux-session", VERSION),
        sessions.Agent("c6", "guestmux-session", "0"),
    ]
    found = {finding.check: finding for finding in sessions.check_sessions(logged_in, agents)}
    assert {check: finding.level for check, finding in found.items()} == {
        "session c1": "ok",
        "session c2": "note",
        "session c3": "problem",
        "session c4": "ok",
        "session c6": "problem",
    }
    assert found["session c6"].what == f"u1003: guestmux-session 0, but {VERSION} is installed"


def test_nobody_is_logged_in() -> None:
    assert [finding.what for finding in sessions.check_sessions([], [])] == ["nobody is logged in"]


@pytest.mark.parametrize(
    ("load", "active", "level"),
    [
        ("loaded", "active", "ok"),
        ("loaded", "failed", "problem"),
        ("not-found", "inactive", "problem"),
        ("masked", "inactive", "note"),
    ],
)
async def test_the_users_unit(root: Path, load: str, active: str, level: str) -> None:
    text = f"LoadState={load}\nActiveState={active}\nUnitFileState=enabled\n"
    found = await sessions.check_user_unit(machine_with(root, 1000, user=text))
    assert found
    assert found.level == level


async def test_a_user_without_a_service_manager(root: Path) -> None:
    found = await sessions.check_user_unit(machine_with(root, 1000))
    assert found
    assert found.level == "note"


async def test_a_journal_that_is_not_ours_to_read(root: Path) -> None:
    machine = machine_with(root, 1000)
    found = await sessions.check_refusals(machine)
    assert found
    assert "run this as root" in found.do


# ---- ports


@ROOT
async def test_a_port_that_another_process_holds() -> None:
    with pty_pair() as (_host, path):
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        (found,) = ports.check_ports(Machine(), config_of(f"device:{path}"))
        os.close(fd)
        assert found.level == "problem"
        assert found.what.startswith("held by ")
        assert f"(pid {os.getpid()}, user " in found.what
        (found,) = ports.check_ports(Machine(), config_of(f"device:{path}"))
        assert found.what.startswith("nobody holds it; owner ")


async def test_a_port_whose_holder_is_hidden(root: Path) -> None:
    (root / "tty").symlink_to("/dev/null")
    (found,) = ports.check_ports(Machine(root, run_tool, 1000), config_of("device:/tty"))
    assert (found.level, found.do) == ("note", "run this as root")
    assert "only root can see who holds it" in found.what


def stock_machine(root: Path, *, held: bool) -> Machine:
    """One whose stock agent runs, and has its port open or not."""
    links, process = root / "dev/virtio-ports", root / "proc/31"
    links.mkdir(parents=True)
    (links / "org.qemu.guest_agent.0").symlink_to("/dev/null")
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("qemu-ga\n")
    (process / "cmdline").write_text("/usr/sbin/qemu-ga\0")
    if held:
        (process / "fd" / "3").symlink_to("/dev/null")
    return Machine(root, run_tool, 0)


@pytest.mark.parametrize(("held", "what"), [(True, "held by qemu-ga (pid 31"), (False, "left to the stock")])
def test_a_port_of_the_stock_agent(root: Path, held: bool, what: str) -> None:
    machine = stock_machine(root, held=held)
    found = ports.check_ports(machine, config_of("virtio:org.qemu.guest_agent.0"))[0]
    assert found.level == "note"
    assert found.what.startswith(what)
    assert "mask --now qemu-guest-agent" in found.do
    assert ports.check_stock_agent(machine).level == "note"


def test_a_machine_without_any_port(root: Path) -> None:
    found = ports.check_ports(Machine(root), config_of("virtio:org.guestmux.0", "virtio:b"))
    assert {finding.level for finding in found} == {"problem"}
    assert "-device virtserialport,name=org.guestmux.0" in found[0].do


def test_a_machine_with_one_of_two_ports(root: Path) -> None:
    machine = stock_machine(root, held=True)
    levels = [
        finding.level
        for finding in ports.check_ports(
            machine, config_of("virtio:org.guestmux.0", "virtio:org.qemu.guest_agent.0")
        )
    ]
    assert levels == ["note", "note"]


@pytest.mark.parametrize(
    ("make", "level", "what"),
    [
        (lambda path: None, "problem", "there is no /s"),
        (lambda path: path.write_text(""), "problem", "is no socket"),
    ],
)
def test_a_socket_that_is_not_served(root: Path, make: Any, level: str, what: str) -> None:
    make(root / "s")
    (found,) = ports.check_ports(Machine(root), config_of("unix-listen:/s"))
    assert found.level == level
    assert what in found.what


def test_a_descriptor_cannot_be_looked_at(root: Path) -> None:
    (found,) = ports.check_ports(Machine(root), config_of("fd:3"))
    assert found.level == "note"


@pytest.mark.parametrize(
    ("has", "level", "what"), [(False, "problem", "no vsock"), (True, "note", "/dev/vsock")]
)
def test_a_vsock_port_needs_a_vsock(root: Path, has: bool, level: str, what: str) -> None:
    if has:
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev/vsock").touch()
    (found,) = ports.check_ports(Machine(root), config_of("vsock-listen:1234"))
    assert found.level == level
    assert what in found.what


def test_the_udev_rule(root: Path) -> None:
    machine = Machine(root)
    assert ports.check_udev_rule(machine).level == "problem"
    rules = root / "usr/lib/udev/rules.d"
    rules.mkdir(parents=True)
    (rules / "60-guestmux.rules").write_text("")
    assert ports.check_udev_rule(machine).level == "ok"
    (root / "etc/udev/rules.d").mkdir(parents=True)
    (root / "etc/udev/rules.d/60-guestmux.rules").symlink_to("/dev/null")
    assert "masks it" in ports.check_udev_rule(machine).what


# ---- what is installed

GOOD = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}


@pytest.mark.parametrize(
    ("unit", "level", "what"),
    [
        ({}, "ok", "active, enabled at boot"),
        ({"LoadState": "not-found"}, "problem", "not installed"),
        ({"LoadState": "masked"}, "problem", "masked"),
        ({"LoadState": "bad-setting"}, "problem", "cannot be loaded: bad-setting"),
        ({"ActiveState": "failed", "Result": "exit-code"}, "problem", "result exit-code"),
        ({"NRestarts": "9"}, "problem", "restarted 9 times"),
        ({"UnitFileState": "disabled"}, "note", "not started at boot"),
    ],
)
async def test_the_service(root: Path, unit: dict[str, str], level: str, what: str) -> None:
    text = "".join(f"{name}={value}\n" for name, value in {**GOOD, **unit}.items())
    found = await service.check_service(machine_with(root, systemctl=text))
    assert found.level == level
    assert what in found.what


async def test_a_systemd_that_does_not_answer(root: Path) -> None:
    assert (await service.check_service(machine_with(root))).level == "note"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (None, "note"),
        ("guestmux-common 1 installed\nguestmux-guest 1 installed\nguestmux-host 2 installed\n", "ok"),
        ("guestmux-common 2 installed\nguestmux-guest 1 installed\n", "problem"),
        ("guestmux-common 1 config-files\nguestmux-guest 1 installed\n", "problem"),
    ],
)
async def test_packages_that_do_not_fit_together(root: Path, text: str | None, level: str) -> None:
    assert (await service.check_packages(machine_with(root, dpkg_query=text))).level == level


def test_the_bus_policy(root: Path) -> None:
    assert service.check_policy(Machine(root)).level == "problem"
    (root / "etc/dbus-1/system.d").mkdir(parents=True)
    (root / "etc/dbus-1/system.d/org.guestmux.conf").write_text("")
    assert service.check_policy(Machine(root)).level == "ok"


def test_no_ports_are_configured() -> None:
    found = check_config(Config(), "/x", exists=False)
    assert found.level == "problem"
    assert found.what == "there is no /x; no ports: no host can connect"


@pytest.mark.parametrize(("protect", "level"), [("yes", "problem"), ("tmpfs", "ok"), (None, "ok")])
async def test_disks_behind_the_sandbox(root: Path, protect: str | None, level: str) -> None:
    machine = machine_with(root, systemctl=protect)
    config = make_config({"disk-pressure": ["/", "/home/x"], "disk-pressure-percent": 80}, "test")
    (found,) = await check_disk_pressure(machine, config)
    assert found.level == level
    assert "/home/x" in found.what
    assert (level == "ok") == ("80 %" in found.what)
    assert await check_disk_pressure(machine, Config()) == []


async def test_a_tool_that_fails_or_is_not_there() -> None:
    assert await run_tool("false") is None
    assert await run_tool("no-such-tool-at-all") is None
    assert await run_tool("echo", "yes") == "yes\n"


def test_a_backend(root: Path) -> None:
    def look_at(address: str) -> list[tuple[str, str, str]]:
        found = check_backend(Machine(root), make_config({"backend": address} if address else {}, "test"))
        return [(finding.level, finding.what, finding.do) for finding in found]

    assert look_at("") == []
    (root / "run").mkdir(exist_ok=True)
    (missing,) = look_at("unix-connect:/run/guestmux-qemu-ga.sock")
    assert missing[0] == "problem"
    assert missing[2] == "systemctl enable --now guestmux-qemu-ga.socket"
    (elsewhere,) = look_at("unix-connect:/run/other")
    assert elsewhere[2].endswith("qemu-ga -m unix-listen -p /run/other")
    (root / "run/other").touch()
    assert look_at("unix-connect:/run/other")[0][1] == "/run/other is no socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "run/sock"))
    assert look_at("unix-connect:/run/sock")[0][1] == "there is no qemu-ga to start"
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/qemu-ga").touch()
    assert look_at("unix-connect:/run/sock")[0][0] == "ok"
