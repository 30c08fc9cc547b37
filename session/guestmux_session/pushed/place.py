"""The two places for pushed agents: a user's, and the system's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guestmux_session.info_environment import account

SYSTEM_STORE = Path("/var/lib/guestmux-agents")
"""Not below /var/lib/guestmux, which is eventd's: who gets the better of eventd must not choose what root runs."""

USER_STORE = Path(".local/share/guestmux/agents")
"""Below the user's home, whatever XDG_DATA_HOME says: it is another one in the agent and in the user's systemd."""

PushPolicy = Literal["signed", "any", "never"]
"""What may be installed, and started: what a trusted key signed, anything, or nothing."""


@dataclass(frozen=True)
class Place:
    """One of them.

    Attributes:
        store: the directory.
        user: whose agents they are.
        system: whether they serve the system.
    """

    store: Path
    user: str
    system: bool


def user_place() -> Place:
    """The place of the user whose process this is."""
    user = account(os.getuid())
    return Place(Path(user.pw_dir) / USER_STORE, user.pw_name, system=False)


def system_place() -> Place:
    """The system's."""
    return Place(SYSTEM_STORE, "root", system=True)
