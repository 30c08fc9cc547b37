"""What a session is kept from going idle by: what each of the ways to do it is to the table of what is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

APPLICATION = "guestmux"
"""Who desktops and logind are told it is."""

Tell = Callable[[str, str], None]
"""Is told by whom the session is kept from going idle, empty: by nobody at the moment; and why not."""


class Means(Protocol):
    """One of the ways."""

    name: str

    async def hold(self, reason: str, tell: Tell) -> None:
        """Keep the session from going idle until cancelled, and tell whether it is; raises nothing.

        It returns where that cannot be done, and nothing is going to change that.
        """
