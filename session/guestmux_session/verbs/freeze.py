"""guest-fsfreeze-*: a snapshot that the host takes while file systems are frozen is whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.freeze import (
    FreezeStatus,
    GuestFsfreezeFreeze,
    GuestFsfreezeFreezeList,
    GuestFsfreezeStatus,
    GuestFsfreezeThaw,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs import disk_requests
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from guestmux_session.verbs.freeze_state import FreezeState
from guestmux_session.verbs.mounts import Mount, mount_of, read_mounts

ABANDONED = "the freeze was given up: a thaw came while it was under way"


class Freeze:
    """Freezes file systems and thaws them.

    Args:
        state_file: there while they are frozen; see `FreezeState`.
        hooks: run around it.
        mounts: what is mounted, the kernel's list.
    """

    def __init__(
        self,
        state_file: Path,
        hooks: FreezeHooks | None = None,
        mounts: Callable[[], list[Mount]] = read_mounts,
    ) -> None:
        self._state = FreezeState(state_file)
        self._hooks = hooks or FreezeHooks()
        self._mounts = mounts
        self._lock = threading.Lock()
        self._thaw_waits = threading.Event()

    @property
    def frozen(self) -> bool:
        """Whether they are frozen, as far as this agent did it. Nothing may be written to a disk meanwhile."""
        return bool(self._state)

    @command_of(GUEST["guest-fsfreeze-status"])
    def status(self, _arguments: GuestFsfreezeStatus) -> FreezeStatus:
        """Tell it; waits for nobody."""
        return "frozen" if self.frozen else "thawed"

    @command_of(GUEST["guest-fsfreeze-freeze"])
    def freeze(self, _arguments: GuestFsfreezeFreeze) -> int:
        """Freeze all of them."""
        return self._freeze(None)

    @command_of(GUEST["guest-fsfreeze-freeze-list"])
    def freeze_list(self, arguments: GuestFsfreezeFreezeList) -> int:
        """Freeze some of them."""
        return self._freeze(None if arguments.mountpoints is UNSET else arguments.mountpoints)

    @command_of(GUEST["guest-fsfreeze-thaw"])
    def thaw(self, _arguments: GuestFsfreezeThaw) -> int:
        """Thaw all of them; a freeze that is under way gives up."""
        return self.end()

    def end(self) -> int:
        """Thaw all of them, whoever asks; gives how many were frozen.

        Raises:
            CommandError: the mark that they are frozen stays; or a hook failed.
        """
        self._thaw_waits.set()
        with self._lock:
            self._thaw_waits.clear()
            thawed = self._thaw_all()
            self._state.unset()
            self._hooks.thaw()
        return thawed

    def _freeze(self, wanted: Sequence[str] | None) -> int:
        with self._lock:
            if self.frozen:
                raise CommandError("file systems are frozen already; thaw them first")
            self._hooks.freeze()
            try:
                with self._opened(self._chosen(wanted)) as mounts:
                    frozen = self._freeze_mounts(mounts)
            except CommandError:
                with suppress(CommandError):  # it is logged; the first error is the host's
                    self._hooks.thaw()
                raise
            if not frozen:
                self._hooks.thaw()
            return frozen

    def _chosen(self, wanted: Sequence[str] | None) -> list[Mount]:
        """What to freeze, the last mounted first: a file system in a file must be frozen before the one it lies on."""
        mounts = self._mounts()
        chosen = [mount for mount in mounts if mount.on_disk and (wanted is None or mount.path in wanted)]
        holder = mount_of(self._state.path.resolve(), mounts)
        if holder is not None and any(mount.device == holder.device for mount in chosen):
            raise CommandError(
                f"the agent's state in {self._state.path.parent} is on a file system that is to be frozen "
                f"({holder.path}); it must be on one that is not, such as /run"
            )
        return chosen[::-1]

    @contextmanager
    def _opened(self, mounts: Sequence[Mount]) -> Iterator[list[tuple[str, int]]]:
        """Their paths with descriptors, all opened before the first is frozen."""
        with ExitStack() as stack:
            opened = []
            for mount in mounts:
                try:
                    descriptor = disk_requests.open_mount(mount.path)
                except OSError as error:
                    raise CommandError(f"failed to open {mount.path}: {error.strerror}") from error
                stack.callback(os.close, descriptor)
                opened.append((mount.path, descriptor))
            yield opened

    def _freeze_mounts(self, mounts: Sequence[tuple[str, int]]) -> int:
        self._state.set()
        frozen = 0
        try:
            for path, mount in mounts:
                frozen += self._freeze_one(path, mount)
        except CommandError:
            self._thaw_all()
            self._state.unset()
            raise
        if not frozen:
            self._state.unset()
        return frozen

    def _freeze_one(self, path: str, mount: int) -> bool:
        if self._thaw_waits.is_set():
            raise CommandError(ABANDONED)
        try:
            return disk_requests.freeze(mount)
        except OSError as error:
            raise CommandError(f"failed to freeze {path}: {error.strerror}") from error

    def _thaw_all(self) -> int:
        """Whoever froze them, and whichever process of ours: there is no list that could be wrong."""
        return sum(_thaw_one(mount.path) for mount in self._mounts() if mount.on_disk)


def _thaw_one(path: str) -> bool:
    try:
        mount = disk_requests.open_mount(path)
    except OSError:
        # Hidden under another mount, or gone since; what was frozen there is so by another path as well.
        return False
    try:
        return disk_requests.thaw(mount)
    finally:
        os.close(mount)
