"""Our own file commands and streams: what they take, and its bounds."""

from typing import Any

import pytest

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.connect import GuestConnect
from guestmux_protocol.guest.file_changes import GuestFileRename
from guestmux_protocol.guest.transfer import GuestFileUpload
from guestmux_protocol.schema import InvalidParameter

STREAMS = {"guest-file-download", "guest-file-upload", "guest-exec-attach", "guest-connect"}


def test_the_streams_are_these() -> None:
    assert {name for name, command in GUEST.items() if command.stream} == STREAMS


@pytest.mark.parametrize(
    ("name", "given", "parsed"),
    [
        ("guest-file-rename", {"from": "a", "to-b64": "Yg=="}, GuestFileRename(source="a", to_b64="Yg==")),
        (
            "guest-file-upload",
            {"path": "x", "ranges": [[0, 5], [7, 0]], "size": 9, "mode": 0o600},
            GuestFileUpload(path="x", ranges=[[0, 5], [7, 0]], size=9, mode=0o600),
        ),
        ("guest-connect", {"to": "tcp:22"}, GuestConnect(to="tcp:22")),
    ],
)
def test_arguments_as_a_host_writes_them(name: str, given: dict[str, Any], parsed: object) -> None:
    assert GUEST[name].parse(given) == parsed


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("guest-file-list", {"path": "x", "limit": 0}, ">= 1"),
        ("guest-file-list", {"path": "x", "limit": 10_001}, "<= 10000"),
        ("guest-file-extents", {"path": "x", "offset": -1}, ">= 0"),
        ("guest-file-checksum", {"path": "x", "length": -1}, ">= 0"),
        ("guest-file-checksum", {"path": "x", "length": 2**63}, "expected: integer"),
        ("guest-file-make-directory", {"path": "x", "mode": 0o10000}, "<= 4095"),
        ("guest-file-set-attributes", {"path": "x", "uid": 2**32 - 1}, "<= 4294967294"),
        ("guest-file-set-attributes", {"path": "x", "gid": -1}, ">= 0"),
        ("guest-file-download", {"path": "x", "ranges": [[0, -1]]}, ">= 0"),
        ("guest-file-download", {"path": "x", "ranges": [[0]]}, "length >= 2"),
        ("guest-file-download", {"path": "x", "ranges": [[0, 1, 2]]}, "has more than 2 items"),
        ("guest-file-upload", {"path": "x", "ranges": [[0, 1]] * 4097}, "has more than 4096 items"),
        ("guest-exec-attach", {"pid": 1, "channel": "stdout"}, "does not accept value 'stdout'"),
        ("guest-connect", {}, "Parameter 'to' is missing"),
    ],
)
def test_what_is_out_of_bounds_is_refused(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        GUEST[name].parse(arguments)


def test_a_list_beyond_its_bound_is_refused_before_its_items_are_looked_at() -> None:
    with pytest.raises(InvalidParameter, match="'ranges' has more than 4096 items"):
        GUEST["guest-file-download"].check({"path": "x", "ranges": ["no range"] * 4097})
