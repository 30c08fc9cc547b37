"""The system agent's verbs, as qemu-ga's options set them up."""

from __future__ import annotations

from pathlib import Path

from guestmux_qga.options import Options
from guestmux_session.verbs.authorized_keys import AuthorizedKeys
from guestmux_session.verbs.clock import Clock
from guestmux_session.verbs.disks import Disks
from guestmux_session.verbs.facts import Facts
from guestmux_session.verbs.files import Files
from guestmux_session.verbs.filesystems import Filesystems
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from guestmux_session.verbs.freeze_state import STATE_NAME
from guestmux_session.verbs.memory_blocks import MemoryBlocks
from guestmux_session.verbs.network import Network
from guestmux_session.verbs.passwords import Passwords
from guestmux_session.verbs.power import Power
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.processors import Processors
from guestmux_session.verbs.surroundings import SystemSurroundings
from guestmux_session.verbs.trim import Trim
from guestmux_session.verbs.users import Users


class Verbs:
    """Everything that qemu-ga does.

    Args:
        options: where its state is, and which hook it has.

    Attributes:
        freeze: tells whether file systems are frozen.
        all: the objects that serve commands.
    """

    def __init__(self, options: Options) -> None:
        hooks = FreezeHooks(required=[Path(options.hook)] if options.hook else [])
        self.freeze = Freeze(Path(options.statedir) / STATE_NAME, hooks)
        self.all: list[object] = [
            Files(),
            Processes(SystemSurroundings()),
            Power(),
            Clock(),
            Passwords(),
            AuthorizedKeys(),
            Trim(),
            Facts(),
            Users(),
            Network(),
            Disks(),
            Filesystems(),
            Processors(),
            MemoryBlocks(),
            self.freeze,
        ]
