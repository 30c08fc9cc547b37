"""The file and process commands against QEMU's qga/qapi-schema.json, and the bounds of our own."""

from typing import Any

import pytest

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.processes import Terminal
from guestmux_protocol.schema import InvalidParameter
from guestmux_protocol.schema_notation import to_notation

OF_QEMU = {
    "guest-file-open": {"path": "str", "*mode": "str"},
    "guest-file-close": {"handle": "int"},
    "guest-file-read": {"handle": "int", "*count": "int"},
    "guest-file-write": {"handle": "int", "buf-b64": "str", "*count": "int"},
    "guest-file-seek": {"handle": "int", "offset": "int", "whence": "any"},
    "guest-file-flush": {"handle": "int"},
    "guest-exec": {
        "path": "str",
        "*arg": ["str"],
        "*env": ["str"],
        "*input-data": "str",
        "*capture-output": "any",
    },
    "guest-exec-status": {"pid": "int"},
}


@pytest.mark.parametrize("name", OF_QEMU)
def test_arguments_are_those_of_qemus_schema(name: str) -> None:
    assert to_notation(GUEST[name].arguments) == OF_QEMU[name]


@pytest.mark.parametrize("whence", [0, 7, "set", "cur", "end"])
def test_whence_is_a_number_or_a_name(whence: Any) -> None:
    parsed = GUEST["guest-file-seek"].parse({"handle": 1, "offset": 2, "whence": whence})
    assert parsed.whence == whence


@pytest.mark.parametrize("capture", [True, False, "none", "stdout", "stderr", "separated", "merged"])
def test_capture_output_is_a_flag_or_a_mode(capture: Any) -> None:
    assert GUEST["guest-exec"].parse({"path": "x", "capture-output": capture}).capture_output is capture


def test_a_terminal_has_a_size_and_a_type() -> None:
    parsed = GUEST["guest-exec-live"].parse({"path": "x", "terminal": {"rows": 24, "columns": 80}})
    assert parsed.terminal == Terminal(rows=24, columns=80, type="xterm-256color")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("guest-file-seek", {"handle": 1, "offset": 2, "whence": "x"}, "does not accept value 'x'"),
        ("guest-exec", {"path": "x", "capture-output": "all"}, "does not accept value 'all'"),
        ("guest-exec-live", {"path": "x", "terminal": {"rows": 0, "columns": 80}}, ">= 1"),
        ("guest-exec-resize", {"pid": 1, "rows": 1, "columns": 65536}, "<= 65535"),
        ("guest-exec-read", {"pid": 1, "linger": 31}, "<= 30"),
        ("guest-exec-read", {"pid": 1, "max-bytes": 1 << 21}, "<= 1048576"),
    ],
)
def test_what_is_out_of_bounds_is_refused(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        GUEST[name].parse(arguments)
