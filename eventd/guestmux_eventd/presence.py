"""What stays of an agent when it registers anew, and ends when it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestmux_eventd.agent_channel import AgentChannel


class Presence:
    """One stay of an agent, from its first registration until it leaves.

    Attributes:
        acquired: whether it asked for a channel.
        channel: that, once the agent spoke on it: what goes to the agent goes this way from then on.
        ended: whether it had one, and closed it.
        hang_up: ends what there is of a channel.
    """

    __slots__ = ("acquired", "channel", "ended", "hang_up")

    def __init__(self) -> None:
        self.acquired = False
        self.ended = False
        self.channel: AgentChannel | None = None
        self.hang_up: Callable[[], object] | None = None
