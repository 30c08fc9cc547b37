"""A libvirtd of the test's own: in namespaces where it has /etc/libvirt, /run and the like to itself."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAM = "libvirtd"

START_SECONDS = 60.0
"""libvirtd asks every QEMU program what it can before it listens; 2 s on an idle machine."""

STOP_SECONDS = 20.0
"""It says good-bye to its clients first."""

VIRSH_SECONDS = 60.0
"""An agent that does not answer is given up by libvirt after 5 s; a busy emulator takes its time."""

POLL_SECONDS = 0.05

CONFIG = {
    "libvirtd.conf": 'auth_unix_rw = "none"\nauth_unix_ro = "none"\nlog_outputs = "3:stderr"\n',
    # There is no systemd, no cgroup to write to and no user but root that can be counted on.
    "qemu.conf": 'user = "root"\ngroup = "root"\ndynamic_ownership = 0\nsecurity_driver = "none"\n'
    'namespaces = []\ncgroup_controllers = []\nstdio_handler = "file"\n',
}

# The namespaces' first process, in the daemon's folder. Dying, it takes libvirtd and QEMU with it, and it reaps them.
# /run is empty there: no D-Bus, no systemd and no udev of this machine's to speak to. libvirtd does not start without
# its user, whom another Debian package creates, even when QEMU runs as root.
FIRST_PROCESS = """
set -eu
for name in lib log cache; do
    mkdir -p "/var/$name/libvirt"
    mount --bind "$name" "/var/$name/libvirt"
done
mount --bind etc /etc/libvirt
for name in passwd group; do
    { cat "/etc/$name"; cat "$name"; } >"$name.all"
    mount --bind "$name.all" "/etc/$name"
done
mount -t tmpfs tmpfs /run
mkdir /run/libvirt /run/vm
mount --bind run /run/libvirt
mount --bind vm /run/vm
echo ready
sleep infinity &
wait
"""

ACCOUNTS = {"passwd": "libvirt-qemu:x:64055:64055::/:/bin/false\n", "group": "libvirt-qemu:x:64055:\n"}

FOLDERS = ("etc", "lib", "log", "cache", "run", "vm")


class LibvirtError(Exception):
    """libvirtd or virsh failed. The text is its own."""


class Libvirt:
    """A libvirtd, which may be stopped and started; domains live on meanwhile.

    Args:
        folder: what libvirtd sees in parts as its own folders.
        leader: the first process of its namespaces.

    Attributes:
        vm: the folder that is /run/vm to libvirtd and QEMU.
        lib: the folder that is /var/lib/libvirt to them.
        logs: the folder that is /var/log/libvirt to them.
    """

    def __init__(self, folder: Path, leader: int) -> None:
        self.vm = folder / "vm"
        self.lib = folder / "lib"
        self.logs = folder / "log"
        self._log = folder / "libvirtd.log"
        self._socket = folder / "run" / "libvirt-sock"
        self._leader = leader
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Libvirt {self._socket}>"

    def start(self) -> None:
        """Start libvirtd, and wait until it serves.

        Raises:
            LibvirtError: it does not.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._inside(_path(PROGRAM), "--pid-file", "/run/libvirt/libvirtd.pid"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while self._ask("uri").returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LibvirtError(f"libvirtd does not start: {self.last_words()}")
            time.sleep(POLL_SECONDS)

    def stop(self, signal: str = "TERM") -> None:
        """Have libvirtd end by a signal, and wait for it."""
        kill = self._inside("sh", "-c", 'kill -s "$1" "$(cat /run/libvirt/libvirtd.pid)"', "sh", signal)
        subprocess.run(kill, check=True)
        self.wait()
        # A killed one leaves it, and the next start would take it for served.
        with suppress(FileNotFoundError):
            self._socket.unlink()

    def wait(self) -> None:
        """Wait until libvirtd has ended, by whatever hand."""
        if self._process:
            self._process.wait(STOP_SECONDS)

    def virsh(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run virsh to its end.

        Raises:
            LibvirtError: it failed, and `check` is set.
        """
        result = self._ask(*words)
        if check and result.returncode:
            raise LibvirtError(f"virsh {words}: {result.stdout}{result.stderr}{self.last_words()}")
        return result

    def virsh_command(self, *words: str) -> list[str]:
        """What to execute for virsh with these words."""
        return ["virsh", "--connect", f"qemu+unix:///system?socket={self._socket}", *words]

    def last_words(self) -> str:
        """The end of libvirtd's log."""
        return f"\n--- {PROGRAM}:\n{self._log.read_text(errors='replace')[-3000:]}"

    def _ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = self.virsh_command(*words)
        return subprocess.run(command, capture_output=True, text=True, timeout=VIRSH_SECONDS, check=False)

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", "--target", str(self._leader), "--mount", "--net", "--pid", "--", *command]


@contextmanager
def running_libvirt(folder: Path) -> Iterator[Libvirt]:
    """Start a libvirtd; it and its domains are killed after the block.

    Args:
        folder: for all its files; must exist, and have a short name.

    Raises:
        LibvirtError: it does not start.
    """
    _lay_out(folder)
    unshare = ["unshare", "--mount", "--net", "--pid", "--propagation=private", "--mount-proc"]
    first = ["--fork", "--kill-child", "sh", "-c", FIRST_PROCESS]
    command = ["setpriv", "--pdeathsig", "KILL", *unshare, *first]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder) as process:
        try:
            assert process.stdout
            if process.stdout.readline() != b"ready\n":
                raise LibvirtError("no namespaces for libvirtd; the reason is above")
            libvirt = Libvirt(folder, _child(process.pid))
            with ExitStack() as stack:
                stack.callback(libvirt.wait)
                stack.callback(process.kill)
                libvirt.start()
                yield libvirt
        finally:
            process.kill()


def _lay_out(folder: Path) -> None:
    for name in FOLDERS:
        (folder / name).mkdir()
    for name, text in CONFIG.items():
        (folder / "etc" / name).write_text(text)
    for name, text in ACCOUNTS.items():
        (folder / name).write_text(text)


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def missing() -> str:
    """What this machine lacks for libvirt, with the way to get it; "" for nothing."""
    if _path(PROGRAM) and _path("virsh"):
        return ""
    return "libvirtd is missing: apt-get install libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients"


def _path(program: str) -> str:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""
