"""Which verbs the machine's agent serves; apart: a session's has no use for them, and its memory is counted."""

from __future__ import annotations

from guestmux_session.verbs.authorized_keys import AuthorizedKeys
from guestmux_session.verbs.clock import Clock
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.memory_blocks import MemoryBlocks
from guestmux_session.verbs.passwords import Passwords
from guestmux_session.verbs.power import Power
from guestmux_session.verbs.processors import Processors
from guestmux_session.verbs.sets import session_verbs
from guestmux_session.verbs.surroundings import SystemSurroundings
from guestmux_session.verbs.trim import Trim


def system_verbs(freeze: Freeze) -> list[object]:
    """What root serves: all that qemu-ga does, but for guest-get-users, which eventd knows from logind.

    Args:
        freeze: knows whether file systems are frozen, which whoever stops the process asks.
    """
    return [
        *session_verbs(SystemSurroundings()),
        *(Processors(), MemoryBlocks(), freeze, Trim(), Power(), Clock(), Passwords(), AuthorizedKeys()),
    ]
