"""One container booted by systemd-nspawn: its start, its end, and processes inside it."""

import os
import secrets
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.guest.cgroups import cgroup_of, own_cgroups, systemd_runs_here

BOOT_SECONDS = 25.0
"""A boot takes under a second on an idle machine; this is for a busy one, within a test's 30 s."""

STOP_SECONDS = 5.0
"""A killed container is gone at once; longer means that the kernel or nspawn hangs."""

COMMAND_SECONDS = 20.0
"""Time that a command in the guest has, unless told."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Everything mounted here is in a mount namespace of its own and goes with it, however this run ends. $1 is the
# folders to lay over each other, $2 where changes go (empty: memory), $3 the mount point; the rest goes to nspawn.
MOUNT = """
set -eu
layers=$1 changes=$2 root=$3; shift 3
if [ -z "$changes" ]; then
    mount -t tmpfs tmpfs "$root"
    changes=$root/changes; mkdir "$changes" "$root/merged"; target=$root/merged
else
    target=$root
fi
mkdir -p "$changes/upper" "$changes/work"
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$changes/upper,workdir=$changes/work" "$target"
# Guests of today have one hierarchy of control groups, whatever this machine has.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --directory="$target" "$@"
"""

ENTER_CGROUP = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'


class ContainerError(Exception):
    """The container did what it should not; the text has its own last words."""


class Container:
    """A running container.

    Attributes:
        name: the machine's name, unique among runs.
        leader: the pid of its PID 1 on this machine.
        console: the file that its boot messages are in.
    """

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", leader: int, console: Path) -> None:
        self.name = name
        self.leader = leader
        self.console = console
        self._process = process
        self._cgroup = cgroup_of(leader).parent

    def __repr__(self) -> str:
        """Name and pid, for a failed test's report."""
        return f"<Container {self.name} leader={self.leader}>"

    def path(self, inside: str) -> Path:
        """What this machine calls a file of the guest; good for connecting to a socket, too."""
        return Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def command(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        cgroup: str = "init.scope",
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """What to execute on this machine to have a command run inside, and killed when its starter dies.

        Args:
            command: to execute in the guest.
            user: whose process it is, without any PAM; root when None.
            cgroup: the guest's control group to put it in, which is what ties a process to a session.
            environment: all that it has beside PATH.
        """
        return [
            *("sh", "-c", ENTER_CGROUP, "sh", str(self._cgroup / cgroup)),
            *("nsenter", "--target", str(self.leader), "--all", "--root", "--wd", "--"),
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *with_identity(command, user, environment),
        ]

    def cgroup_of(self, pid: int) -> str:
        """The control group, as the guest names it, of a process that this machine knows as `pid`."""
        return str(cgroup_of(pid).relative_to(self._cgroup))

    def wait_stopped(self, seconds: float = COMMAND_SECONDS) -> None:
        """Wait until the guest has switched itself off.

        Raises:
            ContainerError: it has not, in that time.
        """
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise ContainerError(f"{self.name} still runs after {seconds} s{self.last_words()}") from error

    def kill(self) -> None:
        """Take its power away: PID 1 dies, and with it everything inside."""
        if self._process.poll() is None:
            os.kill(self.leader, signal.SIGKILL)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of its console, to put into an error."""
        return _last_words(self.console)


def with_identity(
    command: Sequence[str], user: str | None, environment: Mapping[str, str] | None
) -> list[str]:
    """What root executes to have a command run as somebody else, without any PAM, and with this environment only."""
    identity = [] if user is None else ["--reuid", user, "--regid", user, "--init-groups"]
    variables = {"PATH": PATH, "LANG": "C.UTF-8", **(environment or {})}
    words = [f"{name}={value}" for name, value in variables.items()]
    return ["setpriv", *identity, "--", "env", "--ignore-environment", *words, *command]


@contextmanager
def booted(layers: Sequence[Path]) -> Iterator[Container]:
    """Boot a container and take it away at the end of the block.

    Args:
        layers: read-only roots, the uppermost first; changes stay in memory and go with the container.

    Raises:
        ContainerError: it did not boot.
    """
    name = f"guestmux-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
        cgroups = stack.enter_context(own_cgroups(name))
        options = ["--boot", "--console=pipe", "--notify-ready=yes", "--private-network"]
        command = nspawn(name, layers, None, folder, options, cgroups)
        console = folder / "console"
        environment = os.environ | {"NOTIFY_SOCKET": str(folder / "notify")}
        # Closed once it is up: systemd goes on to tell of its jobs, and would stand still when nobody reads that.
        with _notify_socket(folder / "notify") as notifications:
            with console.open("wb") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                )
            stack.callback(_reap, process)
            leader = _wait_ready(process, notifications, console)
        container = Container(name, process, leader, console)
        stack.callback(container.kill)
        yield container


def nspawn(
    name: str,
    layers: Sequence[Path],
    changes: Path | None,
    folder: Path,
    options: Sequence[str],
    cgroups: Sequence[Path],
) -> list[str]:
    """The command line of a systemd-nspawn over layered roots.

    Args:
        name: the machine's name.
        layers: read-only roots, the uppermost first.
        changes: where changes go, to be a layer of others (its folder `upper`); None for memory.
        folder: an empty-enough folder for the mount point.
        options: of systemd-nspawn.
        cgroups: to start in, as `own_cgroups` gave them.
    """
    root = folder / "root"
    root.mkdir()
    enter = [part for group in cgroups for part in ("sh", "-c", ENTER_CGROUP, "sh", str(group))]
    keep = [] if systemd_runs_here() else ["--keep-unit"]
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *enter,
        *("unshare", "--mount", "--propagation=private"),
        *("sh", "-c", MOUNT, "sh", ":".join(map(str, layers)), str(changes or ""), str(root)),
        *("--quiet", "--register=no", *keep, f"--machine={name}", f"--hostname={name}"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", *options),
    ]


@contextmanager
def _notify_socket(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        yield listener


def _wait_ready(process: "subprocess.Popen[bytes]", notifications: socket.socket, console: Path) -> int:
    """Wait until the guest's systemd says READY; gives the pid of its PID 1 (sd_notify(3), X_NSPAWN_LEADER_PID)."""
    leader, ready = 0, False
    deadline = time.monotonic() + BOOT_SECONDS
    while not (leader and ready):
        if process.poll() is not None:
            raise ContainerError(
                f"systemd-nspawn ended with status {process.returncode}{_last_words(console)}"
            )
        if time.monotonic() > deadline:
            raise ContainerError(f"no boot within {BOOT_SECONDS} s{_last_words(console)}")
        if not select.select([notifications], [], [], 0.2)[0]:
            continue
        for line in notifications.recv(4096).decode().splitlines():
            key, _, value = line.partition("=")
            leader = int(value) if key == "X_NSPAWN_LEADER_PID" else leader
            ready = ready or line == "READY=1"
    return leader


def _reap(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _last_words(console: Path) -> str:
    return "\n--- console:\n" + console.read_text(errors="replace")[-2000:]
