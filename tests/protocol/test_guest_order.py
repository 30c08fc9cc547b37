"""The order of guest-info."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestmux_protocol.commands import NATIVE
from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.order import PEER_ORDER, in_peer_order
from tests.support.qemu_ga import QEMU_GA, qemu_ga


def test_what_qemu_ga_has_comes_in_its_order_after_what_it_has_not() -> None:
    names = ["guest-sync", "session-lock", "guest-get-load", "__x_y", "guest-ping"]
    assert in_peer_order(names) == ["__x_y", "session-lock", "guest-get-load", "guest-ping", "guest-sync"]


def test_every_command_in_it_is_one_that_we_describe() -> None:
    assert set(PEER_ORDER) - GUEST.keys() - NATIVE.keys() == {"guest-get-devices"}
    assert len(set(PEER_ORDER)) == len(PEER_ORDER)


@pytest.mark.skipif(QEMU_GA is None, reason="no qemu-ga installed")
def test_it_is_the_order_of_the_real_one(tmp_path: Path) -> None:
    with qemu_ga(tmp_path) as peer:
        listed = peer.ask(b'{"execute": "guest-info"}')["return"]["supported_commands"]
    names = [entry["name"] for entry in listed]
    assert in_peer_order(reversed(names)) == names
