"""guestmux-qga as a process: its exit statuses, its files, its signals, its channels."""

from __future__ import annotations

import base64
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from guestmux_protocol.guest import GUEST
from tests.support.agents import OURS, STOCK, AgentProcess, Client, run_agent
from tests.support.pipes import pty_pair
from tests.support.qemu_ga import QEMU_GA

pytestmark = pytest.mark.timeout(60)

PING = b'{"execute":"guest-ping"}'


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with AgentProcess(OURS, tmp_path) as agent:
        yield agent
        if agent.process.poll() is None:
            assert agent.stop() == 0
        assert agent.log == ""


@pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")
@pytest.mark.parametrize(
    "options",
    [
        ["-V"],
        ["-h"],
        ["-D"],
        ["-b", "help"],
        ["-b?"],
        ["-x"],
        ["-m", "unix-listen"],
        ["-m", "nonsense", "-p", "x"],
        ["-m", "unix-listen", "-p", "/no/such/directory/socket"],
        ["-m", "virtio-serial", "-p", "/no/such/port"],
        ["-m", "isa-serial", "-p", "/no/such/tty"],
        ["-m", "vsock-listen", "-p", "nonsense"],
    ],
)
def test_exit_statuses_are_the_peers(tmp_path: Path, options: list[str]) -> None:
    status = [run_agent(program, "-t", str(tmp_path), *options).returncode for program in (STOCK, OURS)]
    assert status[0] == status[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-b", "guest-png"], "block-rpcs: no such command: 'guest-png'"),
        (["-b", "guest-ping;guest-exec"], "separated by commas"),
        (["-m", "virtio-serial", "-p", "/dev/null/x"], "not found"),
        (["-m", "virtio-serial", "-p", "/etc/passwd"], "not a character device"),
        (
            ["-l", "/no/such/directory/log", "-m", "isa-serial", "-p", "/dev/null"],
            "unable to open specified log file",
        ),
        (["-x"], "Try 'guestmux-qga --help'"),
    ],
)
def test_what_cannot_be_had_is_said(tmp_path: Path, options: list[str], said: str) -> None:
    ended = run_agent(OURS, "-t", str(tmp_path), "-m", "unix-listen", "-p", str(tmp_path / "s"), *options)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_file_that_qemus_own_test_dumps(tmp_path: Path) -> None:
    """Its list has a ';' in it: it is dumped as it is, and refused by an agent that would run with it."""
    conf = tmp_path / "conf"
    conf.write_text("[general]\nmethod=virtio-serial\nblock-rpcs=guest-ping;guest-get-time\n")
    dumped = run_agent(OURS, "-D", conf=str(conf))
    assert (dumped.returncode, dumped.stderr) == (0, "")
    assert "block-rpcs=guest-ping;guest-get-time\n" in dumped.stdout
    refused = run_agent(OURS, "-p", "/dev/null", conf=str(conf))
    assert refused.returncode == 1
    assert "separated by commas" in refused.stderr


def test_every_command_is_listed() -> None:
    listed = run_agent(OURS, "-b", "help").stdout.split()
    assert {"guest-ping", "guest-exec", "guest-get-users", "guest-fsfreeze-thaw", "guest-file-stat"} <= set(
        listed
    )
    assert not {name for name, command in GUEST.items() if command.stream} & set(listed)
    assert listed == sorted(listed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_whatever_it_does(agent: AgentProcess, number: signal.Signals) -> None:
    os.mkfifo(agent.directory / "fifo")
    with agent.connect() as host:
        host.value("guest-exec", path="sleep", arg=["1000"])
        host.send(b'{"execute":"guest-exec-read","arguments":{"pid":1}}')
        assert agent.stop(number) == 0
    assert agent.log == ""


def test_a_signal_before_it_is_ready(tmp_path: Path) -> None:
    for _ in range(5):
        directory = tmp_path / str(_)
        directory.mkdir()
        with AgentProcess(OURS, directory) as agent:
            with agent.connect() as host:
                host.send(PING)
                host.line()
            assert agent.stop() == 0


def test_a_host_that_leaves_its_replies_unread_does_not_end_it(agent: AgentProcess) -> None:
    """The stock one ends with status 0 by the ECONNRESET, and gives the next host the replies on virtio-serial."""
    for _ in range(3):
        with agent.connect() as host:
            host.send(PING * 50)
            select.select([host.connection], [], [], 60)
    with agent.connect() as host:
        assert host.ask_raw(b'{"execute":"guest-sync","arguments":{"id":7}}') == {"return": 7}


def test_half_a_command_ends_with_its_host(agent: AgentProcess) -> None:
    with agent.connect() as host:
        host.send(PING + b'{"execute":"guest-pi')
        host.line()
    with agent.connect() as host:
        assert host.ask_raw(PING) == {"return": {}}


def test_a_host_that_does_not_read_costs_nothing(agent: AgentProcess) -> None:
    """The stock one burns a whole CPU until it does, and is never seen to rest."""
    with agent.connect() as host:
        host.connection.setblocking(False)
        while select.select([], [host.connection], [], 0.5)[1]:
            host.connection.send(PING * 1000)
        ran = slices_taken(agent.process.pid)
        time.sleep(0.2)
        while ran != (now := slices_taken(agent.process.pid)):
            ran = now
            time.sleep(0.2)
    with agent.connect() as host:
        assert host.ask_raw(PING) == {"return": {}}


def slices_taken(pid: int) -> tuple[str, ...]:
    """How often it ran so far; stays the same for one that sleeps."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    cpu = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (*cpu, *(line for line in lines if "ctxt_switches" in line))


def connected(path: Path) -> Client:
    """A host at a socket that may not be there yet."""
    deadline = time.monotonic() + 60
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return Client(connection)


@contextmanager
def serving(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([*OURS, *options], env={**os.environ, "QGA_CONF": "/no/such/file"}) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_socket_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with serving("-m", "unix-listen", "-p", str(path), "-t", str(tmp_path)) as process:
        with connected(path) as host:
            assert host.ask_raw(PING) == {"return": {}}
        process.terminate()
        assert process.wait(60) == 0
        assert not path.exists()


def first_answer(line: int) -> bytes:
    """Ask until there is one: a serial line drops what came before it was opened."""
    answer = b""
    while not answer:
        time.sleep(0.05)
        with suppress(OSError):  # nobody has the line open yet
            os.write(line, PING)
            select.select([line], [], [], 0.2)
            answer = os.read(line, 4096)
    return answer


@pytest.mark.parametrize("method", ["isa-serial", "virtio-serial"])
def test_a_device(tmp_path: Path, method: str) -> None:
    with pty_pair() as (line, path), serving("-m", method, "-p", path, "-t", str(tmp_path)) as process:
        assert first_answer(line).startswith(b'{"return": {}}\n')
        process.terminate()
        assert process.wait(60) == 0


def test_a_device_that_goes_ends_it(tmp_path: Path) -> None:
    with ExitStack() as device:
        line, path = device.enter_context(pty_pair())
        with serving("-m", "virtio-serial", "-p", path, "-t", str(tmp_path)) as process:
            first_answer(line)
            device.close()
            assert process.wait(60) == 0


def test_a_device_that_goes_is_waited_for(tmp_path: Path) -> None:
    link = tmp_path / "device"
    with ExitStack() as device:
        line, path = device.enter_context(pty_pair())
        link.symlink_to(path)
        with serving("-m", "isa-serial", "-p", str(link), "-t", str(tmp_path), "--retry-path") as process:
            first_answer(line)
            link.unlink()
            device.close()
            with pty_pair() as (other, elsewhere):
                link.symlink_to(elsewhere)
                assert first_answer(other).startswith(b'{"return": {}}\n')
                process.terminate()
                assert process.wait(60) == 0


def test_a_daemon(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path, pidfile, logfile = tmp_path / "s", tmp_path / "pid", tmp_path / "log"
    options = [
        "-m",
        "unix-listen",
        "-p",
        str(path),
        "-t",
        str(tmp_path),
        "-f",
        str(pidfile),
        "-l",
        str(logfile),
    ]
    started = run_agent(OURS, *options, "-d", "-v")
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    with connected(path) as host:
        assert host.ask_raw(PING) == {"return": {}}
        pid = int(pidfile.read_text())
        request.addfinalizer(lambda: end(pid))
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        assert {str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)} == {"/dev/null"}
        assert "Umask:\t0077" in Path(f"/proc/{pid}/status").read_text()
        second = run_agent(OURS, *options[:2], "-p", str(tmp_path / "s2"), *options[4:], "-d")
        assert second.returncode == 0  # as the peer's: the parent knows nothing of the pid file
        assert int(pidfile.read_text()) == pid
        os.kill(pid, signal.SIGTERM)
        assert host.rest() == b""
    while Path(f"/proc/{pid}").exists() and not is_zombie(pid):
        time.sleep(0.01)
    assert not pidfile.exists()
    assert "open" in logfile.read_text()


def end(pid: int) -> None:
    """Leave no daemon behind, whatever the test came to."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_path_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "later" / "s"
    with serving("-m", "unix-listen", "-p", str(path), "-t", str(tmp_path), "-r") as process:
        time.sleep(0.1)
        path.parent.mkdir()
        with connected(path) as host:
            assert host.ask_raw(PING) == {"return": {}}
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize("number", [0, 2])
def test_socket_activation_of_another_number(tmp_path: Path, number: int) -> None:
    hand_over = f'exec 3</dev/null 4</dev/null; export LISTEN_FDS={number} LISTEN_PID=$$; exec "$@"'
    command = ["bash", "-c", hand_over, "-", *OURS, "-D", "-m", "unix-listen", "-p", "/s"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, "path=/s" in ended.stdout) == ((0, True) if number == 0 else (1, False))


def test_socket_activation_by_something_else(tmp_path: Path) -> None:
    hand_over = 'exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
    ended = subprocess.run(
        ["bash", "-c", hand_over, "-", *OURS], capture_output=True, text=True, check=False, timeout=20
    )
    assert (ended.returncode, ended.stderr) == (1, "guestmux-qga: unsupported listen fd type\n")


def test_blocked_and_allowed_commands(tmp_path: Path) -> None:
    with AgentProcess(
        OURS, tmp_path, "-b", "guest-ping,guest-get-time", "-a", "guest-info,guest-get-host-name"
    ) as agent:
        with agent.connect() as host:
            for command in ("guest-ping", "guest-get-time", "guest-get-osinfo", "guest-exec", "guest-sync"):
                error_class, desc = host.desc(command)
                assert (error_class, "has been disabled" in desc) == ("CommandNotFound", True), desc
            assert host.value("guest-get-host-name")
            info = {
                entry["name"]: entry["enabled"] for entry in host.value("guest-info")["supported_commands"]
            }
            assert {name for name, enabled in info.items() if enabled} == {
                "guest-info",
                "guest-get-host-name",
            }
        assert agent.stop() == 0


def test_an_agent_that_was_killed_while_frozen(tmp_path: Path) -> None:
    """The file is qemu-ga's; only a thaw, or two signals, end it."""
    (tmp_path / "qga.state.isfrozen").touch()
    logfile = tmp_path / "log"
    with AgentProcess(OURS, tmp_path, "-l", str(logfile)) as agent, agent.connect() as host:
        assert host.value("guest-fsfreeze-status") == "frozen"
        assert "frozen" in host.desc("guest-get-time")[1]
        assert host.ask_raw(PING) == {"return": {}}
        agent.process.terminate()
        assert host.ask_raw(PING) == {"return": {}}
        assert not logfile.exists()
        agent.process.terminate()
        assert agent.process.wait(60) == 0


def test_a_signal_while_frozen_waits_for_the_thaw(tmp_path: Path) -> None:
    (tmp_path / "qga.state.isfrozen").touch()
    logfile = tmp_path / "log"
    with AgentProcess(OURS, tmp_path, "-l", str(logfile)) as agent, agent.connect() as host:
        assert host.value("guest-fsfreeze-status") == "frozen"
        agent.process.terminate()
        assert host.ask_raw(PING) == {"return": {}}
        assert "return" in host.ask("guest-fsfreeze-thaw")
        assert host.rest() == b""
        assert agent.process.wait(60) == 0
        assert not (tmp_path / "qga.state.isfrozen").exists()
        assert logfile.exists()


def test_the_hook_is_run_around_a_freeze(tmp_path: Path) -> None:
    hook, told = tmp_path / "hook", tmp_path / "told"
    hook.write_text(f"#!/bin/sh\necho $1 >>{told}\n")
    hook.chmod(0o755)
    with AgentProcess(OURS, tmp_path, f"-F{hook}") as agent:
        with agent.connect() as host:
            assert host.value("guest-fsfreeze-freeze-list", mountpoints=[]) == 0
            assert host.value("guest-fsfreeze-status") == "thawed"
        assert agent.stop() == 0
    assert told.read_text().split() == ["freeze", "thaw"]


def test_a_hook_that_is_missing_prevents_a_freeze(tmp_path: Path) -> None:
    with AgentProcess(OURS, tmp_path, f"-F{tmp_path}/missing") as agent:
        with agent.connect() as host:
            assert "missing" in host.desc("guest-fsfreeze-freeze-list", mountpoints=[])[1]
        assert agent.stop() == 0


def test_signals_while_a_hook_hangs(tmp_path: Path) -> None:
    """The first one waits for the end of the freeze; the second leaves the thread behind."""
    hook, told = tmp_path / "hook", tmp_path / "told"
    hook.write_text(f"#!/bin/sh\necho $$ >{told}.new\nmv {told}.new {told}\nexec sleep 1000\n")
    hook.chmod(0o755)
    with AgentProcess(OURS, tmp_path, f"-F{hook}") as agent, agent.connect() as host:
        host.send(b'{"execute":"guest-fsfreeze-freeze-list","arguments":{"mountpoints":[]}}')
        while not told.exists():
            time.sleep(0.01)
        agent.process.terminate()
        # Of two that it has not been given yet the kernel makes one.
        while is_pending(agent.process.pid, signal.SIGTERM):
            time.sleep(0.01)
        time.sleep(0.1)
        assert agent.process.poll() is None
        assert agent.stop() == 0
    os.kill(int(told.read_text()), signal.SIGKILL)


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal waits for the process to run."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (pending,) = [int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd")]
    return bool(pending >> number - 1 & 1)


def test_what_a_host_starts_knows_nothing_of_the_socket(tmp_path: Path) -> None:
    with AgentProcess(OURS, tmp_path) as agent:
        with agent.connect() as host:
            pid = host.value("guest-exec", path="env", capture_output=True)["pid"]
            while not (status := host.value("guest-exec-status", pid=pid))["exited"]:
                pass
            assert b"LISTEN_FDS" not in base64.b64decode(status["out-data"])
        assert agent.stop() == 0
