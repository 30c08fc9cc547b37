"""Both ends of a mux connection, joined by hand: who may do what, and what crosses."""

from __future__ import annotations

import pytest

from guestmux_protocol.mux import (
    DEFAULT_MUX_LIMITS,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Hello,
    Multiplexer,
    MuxError,
    MuxLimits,
    Open,
    Reply,
    Request,
    Reset,
    encode,
)
from tests.support.mux_ends import greeted, pass_on

FAILURE = Failure("GenericError", "it broke", "agent")


def opened(
    limits: MuxLimits = DEFAULT_MUX_LIMITS, credit: int = 1000
) -> tuple[Multiplexer, Multiplexer, int]:
    """The two ends and a stream that is open, with credit both ways."""
    asker, server = greeted(limits)
    number = asker.open("guest-file-download", b"{}", credit=credit)
    pass_on(asker, server)
    server.reply(number, b"{}", credit=credit)
    pass_on(server, asker)
    return asker, server, number


def test_a_request_and_its_reply() -> None:
    asker, server = greeted()
    number = asker.request("guest-ping", b'{"a": 1}')
    assert pass_on(asker, server) == [Request(number, "guest-ping", b'{"a": 1}', b"{}")]
    server.reply(number, b"{}")
    assert pass_on(server, asker) == [Reply(number, b"{}")]
    assert asker.over() == ([], [])


def test_a_stream_both_ways() -> None:
    asker, server = greeted()
    number = asker.open("guest-connect", b"{}", credit=10)
    assert pass_on(asker, server) == [Open(number, "guest-connect", b"{}", b"{}"), Credit(number, 10)]
    server.reply(number, b"true", credit=5)
    assert pass_on(server, asker) == [Reply(number, b"true"), Credit(number, 5)]
    asker.send(number, b"hello")
    server.send(number, b"0123456789")
    assert asker.sendable(number) == server.sendable(number) == 0
    assert pass_on(asker, server) == [Data(number, b"hello")]
    assert pass_on(server, asker) == [Data(number, b"0123456789")]
    asker.close(number)
    server.close(number, value=b"7")
    assert pass_on(asker, server) == [Close(number)]
    assert pass_on(server, asker) == [Close(number, None, b"7")]
    assert asker.over() == server.over() == ([], [])


def test_an_abort_drops_the_queue_and_what_crosses_it() -> None:
    asker, server, number = opened()
    asker.send(number, b"x" * 1000)
    server.send(number, b"y" * 1000)
    asker.close(number, FAILURE)
    assert pass_on(server, asker) == []
    assert pass_on(asker, server) == [Close(number, FAILURE)]
    assert pass_on(server, asker) == []
    assert asker.over() == server.over() == ([], [])


def test_after_a_half_close_a_stream_can_still_be_broken() -> None:
    asker, server, number = opened()
    asker.close(number)
    assert pass_on(asker, server) == [Close(number)]
    asker.close(number, FAILURE)
    assert pass_on(asker, server) == [Close(number, FAILURE)]
    assert pass_on(server, asker) == []
    assert asker.over() == server.over() == ([], [])


def test_a_cancelled_open_that_is_accepted_is_broken_at_once() -> None:
    asker, server = greeted()
    number = asker.open("guest-connect", b"{}")
    asker.cancel(number)
    assert pass_on(asker, server)[-1] == Cancel(number)
    server.reply(number, b"{}")
    (answer,) = pass_on(server, asker)
    assert isinstance(answer, Error)
    (close,) = pass_on(asker, server)
    assert isinstance(close, Close)
    assert close.failure is not None
    pass_on(server, asker)
    assert asker.over() == server.over() == ([], [])


def test_events_and_their_answers() -> None:
    asker, server = greeted()
    for seq in (1, 2, 3):
        server.event(seq, "APP_STARTED", b"{}", 5)
    assert pass_on(server, asker) == [Event(seq, "APP_STARTED", b"{}", 5) for seq in (1, 2, 3)]
    asker.ack(1, 101)
    asker.ack(2, 102)
    asker.nak(3, "GenericError", "no")
    assert [type(frame).__name__ for frame in pass_on(asker, server)] == ["Ack", "Nak"]


def test_a_reset_ends_it() -> None:
    asker, server = greeted()
    assert asker.receive(b"\xff{}\n") == [Reset(b"{}\n")]
    assert server.receive(encode(Request(1, "x", b"", b"")) + b"\xff")[-1] == Reset(b"")


def test_nothing_but_hello_goes_out_before_the_peers() -> None:
    server = Multiplexer("server")
    server.event(1, "X", b"{}", 0)
    assert server.pending
    hello = server.bytes_to_send(1)
    assert server.bytes_to_send(99) == b""
    with pytest.raises(MuxError):
        Multiplexer("asker").receive(encode(Event(1, "X", b"{}", 0)))
    assert isinstance(Multiplexer("asker").receive(hello)[0], Hello)
