"""The two families of errors."""

from __future__ import annotations

from guestmux_protocol.errors import FramingError, GuestmuxError, JsonError, ProtocolError, RemoteError


def test_theirs_is_none_of_ours() -> None:
    assert not issubclass(RemoteError, GuestmuxError)
    assert issubclass(FramingError, ProtocolError)
    assert issubclass(JsonError, ProtocolError)


def test_a_remote_error_names_its_class_where_that_says_more() -> None:
    assert str(RemoteError("GenericError", "no")) == "no"
    assert str(RemoteError("CommandNotFound", "no")) == "CommandNotFound: no"
