"""The control groups a container is started in, where no systemd on this machine does it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class CgroupError(Exception):
    """This machine's control groups cannot hold a container."""


def systemd_runs_here() -> bool:
    """Whether this machine's own init is systemd (sd_booted(3)), which then keeps control groups in order."""
    return Path("/run/systemd/system").is_dir()


def unified_root() -> Path:
    """Where version 2 of the control groups is mounted.

    Raises:
        CgroupError: nowhere.
    """
    return next(iter(_mounts("cgroup2")), None) or _missing()


def cgroup_of(pid: int) -> Path:
    """A process's control group (version 2), as a folder of this machine.

    Raises:
        CgroupError: the process has none, or is gone.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise CgroupError(f"process {pid} is gone") from error
    for line in lines:
        if line.startswith("0::"):
            return unified_root() / line.removeprefix("0::/")
    raise CgroupError(f"process {pid} is in no control group of version 2")


@contextmanager
def own_cgroups(name: str) -> Iterator[list[Path]]:
    """Make groups in the hierarchies that systemd-nspawn uses, and remove them with all that is below them.

    Two containers in one group would share systemd's own tree, so each needs a group. Where systemd runs,
    nspawn asks it for a scope, and none is made here.
    """
    roots = [] if systemd_runs_here() else [*_mounts("cgroup2"), *_mounts("cgroup", "name=systemd")]
    folders = [root / name for root in roots]
    for folder in folders:
        folder.mkdir()
    try:
        yield folders
    finally:
        for folder in folders:
            _remove(folder)


def _mounts(kind: str, option: str = "") -> list[Path]:
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, mounted, options, *_ = line.split(" ")
        if mounted == kind and (not option or option in options.split(",")):
            found.append(Path(target))
    return found


def _remove(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        # The kernel may take a moment to let go of a group whose processes were killed; an empty one does no harm.
        with suppress(OSError):
            Path(path).rmdir()


def _missing() -> Path:
    raise CgroupError("control groups of version 2 are mounted nowhere; systemd-nspawn needs them")
