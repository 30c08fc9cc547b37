"""The system agent's verbs, as qemu-ga's options set them up."""

from __future__ import annotations

from pathlib import Path

from guestmux_qga.options import Options
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from guestmux_session.verbs.freeze_state import STATE_NAME
from guestmux_session.verbs.system_set import system_verbs
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
        # Without logind the logins are those of utmp, as in qemu-ga.
        self.all: list[object] = [*system_verbs(self.freeze), Users()]
