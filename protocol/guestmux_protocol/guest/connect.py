"""guest-connect: a connection to a socket in the guest, as a stream."""

from __future__ import annotations

from typing import Annotated

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


@command(GUEST, "guest-connect", returns=Data, stream=True)
class GuestConnect(Arguments, frozen=True):
    """Connect to a local socket, as the user that the agent runs as. An end that either side says is passed on.

    Off unless the guest's policy has it in an `enable` (eventd.toml(5)).
    """

    to: Annotated[
        str,
        doc(
            "`unix:/PATH`, `unix:@NAME` for an abstract one, `tcp:PORT`, `tcp:127.0.0.1:PORT` or `tcp:[::1]:PORT`;"
            " `localhost`, and no address, mean 127.0.0.1 and then ::1. Nothing beyond the loopback."
        ),
    ]
