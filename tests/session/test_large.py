"""Large arguments and results at the agent's end of the bus."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from guestmux_session.errors import CommandError
from guestmux_session.large import arguments_of_call, result_of_call
from guestmux_transport.bus_exports import IncomingCall
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import MethodError
from guestmux_transport.sealed_text import LARGE_BYTES, MAX_TEXT_BYTES, read_sealed, write_sealed
from guestmux_transport.values import Variant

LARGE = {"large": Variant("b", True)}


def call(context: dict[str, Variant], *fds: int) -> IncomingCall:
    return IncomingCall(":1.1", "/a", "i", "Call", ["name", {}, context], list(fds))


def arguments(context: dict[str, Variant], *fds: int) -> dict[str, Any]:
    incoming = call(context, *fds)
    try:
        return arguments_of_call(incoming, {"inline": Variant("s", "x")}, context)
    finally:
        close_fds([fd for fd in incoming.fds if fd >= 0])


def test_arguments_come_in_the_message_or_as_a_memfd() -> None:
    assert arguments({}) == {"inline": "x"}
    fd = write_sealed(b'{"n": 1}')
    assert arguments({"arguments-fd": Variant("h", 0)}, fd) == {"n": 1}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"[1]", "no JSON object"), (b"{", "no JSON"), (b'{"a": "\xff"}', "no JSON"), (b"", "no JSON|memfd")],
)
def test_a_memfd_without_arguments_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(MethodError, match=said):
        arguments({"arguments-fd": Variant("h", 0)}, write_sealed(text))


def test_a_descriptor_that_is_none_is_refused() -> None:
    with pytest.raises(MethodError, match="of type h"):
        arguments({"arguments-fd": Variant("u", 0)}, write_sealed(b"{}"))
    with pytest.raises(MethodError, match="no file descriptor 3"):
        arguments({"arguments-fd": Variant("h", 3)}, write_sealed(b"{}"))


@pytest.mark.parametrize("context", [{}, {"large": Variant("b", False)}, {"large": Variant("s", "yes")}])
def test_a_caller_that_takes_no_memfd_gets_none(context: dict[str, Variant]) -> None:
    incoming, value = call(context), "x" * (LARGE_BYTES + 1)
    assert result_of_call(incoming, value, json.dumps(value).encode()) == {"return": Variant("s", value)}
    assert incoming.reply_fds == []


def test_a_small_result_is_in_the_message_and_a_large_one_in_a_memfd() -> None:
    incoming = call(LARGE)
    assert result_of_call(incoming, {"n": 1}, b'{"n": 1}') == {
        "return": Variant("a{sv}", {"n": Variant("x", 1)})
    }
    text = json.dumps("x" * LARGE_BYTES).encode()
    assert result_of_call(incoming, None, text) == {"return-fd": Variant("h", 0)}
    assert read_sealed(incoming.reply_fds[0]) == text
    close_fds(incoming.reply_fds)


def test_what_is_too_large_even_so_is_said() -> None:
    with pytest.raises(CommandError, match="cannot be passed on"):
        result_of_call(call(LARGE), None, bytes(MAX_TEXT_BYTES + 1))
