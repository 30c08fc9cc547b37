"""The order of guest-info."""

from __future__ import annotations

from guestmux_protocol.commands import NATIVE
from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.order import PEER_ORDER, in_peer_order


def test_what_qemu_ga_has_comes_in_its_order_after_what_it_has_not() -> None:
    names = ["guest-sync", "session-lock", "guest-get-load", "__x_y", "guest-ping"]
    assert in_peer_order(names) == ["__x_y", "session-lock", "guest-get-load", "guest-ping", "guest-sync"]


def test_every_command_in_it_is_one_that_we_describe() -> None:
    assert set(PEER_ORDER) - GUEST.keys() - NATIVE.keys() == {"guest-get-devices"}
    assert len(set(PEER_ORDER)) == len(PEER_ORDER)
