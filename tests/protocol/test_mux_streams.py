"""What one end of a mux connection allows itself and the other: credit, ends of streams, and every bound."""

from __future__ import annotations

import pytest

from guestmux_protocol.mux import (
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Hello,
    Multiplexer,
    MuxError,
    MuxFull,
    MuxLimits,
    MuxTooLarge,
    Nak,
    Open,
    Reply,
    Request,
    encode,
)
from guestmux_protocol.mux.limits import CONTROL_BYTES, DESC_BYTES, EVENT_ANSWERS, EVENT_BYTES, NAME_BYTES
from guestmux_protocol.mux.stream import STREAM_LIFE, Step, Stream, StreamState
from tests.support.mux_ends import greeted, pass_on, sent

FAILURE = Failure("GenericError", "it broke", "agent")
TIGHT = MuxLimits(max_frame=512, window=2000, max_streams=2, max_requests=2, value_bytes=1000)


def opened(limits: MuxLimits = TIGHT, credit: int = 1000) -> tuple[Multiplexer, Multiplexer, int]:
    """Two ends and an open stream."""
    asker, server = greeted(limits)
    number = asker.open("x", b"{}", credit=credit)
    pass_on(asker, server)
    server.reply(number, b"{}", credit=credit)
    pass_on(server, asker)
    return asker, server, number


def size_of(frames: list[Frame]) -> int:
    return sum(len(frame.data) for frame in frames if isinstance(frame, Data))


def test_the_table_of_a_stream_ends_for_all() -> None:
    """From everywhere a stream gets to its end, and from there nowhere."""
    assert STREAM_LIFE[StreamState.GONE] == {}
    ending = {StreamState.GONE}
    for _ in STREAM_LIFE:
        ending |= {state for state, steps in STREAM_LIFE.items() if ending & set(steps.values())}
    assert ending == set(StreamState)
    assert {step for steps in STREAM_LIFE.values() for step in steps} == set(Step)


def test_reprs() -> None:
    stream = Stream(7)
    assert repr(stream) == "<Stream 7 ASKED queued=0 credit=0 granted=0>"
    asker, _ = greeted()
    assert repr(asker) == "<Multiplexer asker requests=0 streams=0 pending=0>"


@pytest.mark.parametrize(
    "limits",
    [{"max_frame": 511}, {"window": 0}, {"max_streams": 0}, {"max_requests": 0}, {"value_bytes": 65535}],
)
def test_limits_have_limits(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        MuxLimits(**limits)


# ---- the smaller of both ends' limits ----


def test_the_smaller_limits_hold() -> None:
    asker, server = greeted(MuxLimits(window=5000), TIGHT)
    for _ in range(2):
        asker.request("x", b"{}")
    with pytest.raises(MuxFull, match="2 requests"):
        asker.request("x", b"{}")
    first = asker.open("x", b"{}", credit=4000)
    asker.open("x", b"{}")
    with pytest.raises(MuxFull, match="2 streams"):
        asker.open("x", b"{}")
    assert Credit(first, 2000) in pass_on(asker, server)


def test_a_frame_is_no_larger_than_the_peer_takes() -> None:
    asker, server = greeted(TIGHT, MuxLimits(max_frame=700))
    number = asker.open("x", b"{}", credit=2000)
    pass_on(asker, server)
    server.reply(number, b"{}", credit=2000)
    pass_on(server, asker)
    asker.send(number, b"a" * 2000)
    server.send(number, b"b" * 2000)
    assert [len(frame.data) for frame in pass_on(asker, server) if isinstance(frame, Data)] == [700, 700, 600]
    assert [len(frame.data) for frame in pass_on(server, asker) if isinstance(frame, Data)] == [512] * 3 + [
        464
    ]
    with pytest.raises(MuxError, match="513 bytes of DATA"):
        asker.receive(encode(Data(number, b"x" * 513)))


def test_no_request_before_the_greeting() -> None:
    asker = Multiplexer("asker")
    with pytest.raises(MuxFull, match="greeted"):
        asker.request("x", b"{}")
    with pytest.raises(MuxFull, match="greeted"):
        asker.open("x", b"{}")


@pytest.mark.parametrize(
    "asked", [[Request(n, "x", b"", b"") for n in (1, 2, 3)], [Open(n, "x", b"", b"") for n in (1, 2, 3)]]
)
def test_a_server_takes_no_more_than_it_said(asked: list[Frame]) -> None:
    _, server = greeted(TIGHT)
    server.receive(encode(asked[0]) + encode(asked[1]))
    with pytest.raises(MuxError, match="more than 2") as caught:
        server.receive(encode(asked[2]))
    assert caught.value.frames == []


def test_what_came_before_a_violation_is_with_it() -> None:
    _, server = greeted(TIGHT)
    with pytest.raises(MuxError) as caught:
        server.receive(encode(Request(1, "x", b"", b"")) + b"\x00")
    assert caught.value.frames == [Request(1, "x", b"", b"")]


def test_the_arguments_of_all_that_is_unanswered_are_bounded() -> None:
    asker, server = greeted(TIGHT)
    asker.request("x", b"x" * 600, b"")
    with pytest.raises(MuxFull, match="behind"):
        asker.request("x", b"x" * 401, b"")
    pass_on(asker, server)
    with pytest.raises(MuxError, match="unanswered"):
        server.receive(encode(Request(2, "x", b"x" * 401, b"")))


def test_what_no_frame_carries() -> None:
    asker, server = greeted(TIGHT)
    with pytest.raises(MuxTooLarge, match="1001 bytes"):
        asker.request("x", b"x" * 999, b"{}")
    for name in ("", "x" * (NAME_BYTES + 1)):
        with pytest.raises(MuxTooLarge, match="characters"):
            asker.request(name, b"{}")
    number = asker.request("x", b"{}")
    pass_on(asker, server)
    with pytest.raises(MuxTooLarge):
        server.reply(number, b"x" * 1001)
    server.reply(number, b"x" * 1000)
    with pytest.raises(MuxTooLarge):
        server.event(1, "X", b"x" * 1001, 0)
    with pytest.raises(MuxTooLarge):
        server.close(5, value=b"x" * 1001)


@pytest.mark.parametrize(
    ("desc", "kept"),
    [
        ("x" * (DESC_BYTES + 1), "x" * DESC_BYTES),
        ("ü" * DESC_BYTES, "ü" * (DESC_BYTES // 2)),
        ("half of a pair: \ud800", "half of a pair: ?"),
        ("all well", "all well"),
    ],
)
def test_an_errors_text_is_made_to_fit(desc: str, kept: str) -> None:
    asker, server = greeted()
    number = asker.request("x", b"{}")
    pass_on(asker, server)
    server.error(number, "GenericError", desc)
    assert pass_on(server, asker) == [Error(number, "GenericError", kept)]
    asker.nak(1, "GenericError", desc)
    assert pass_on(asker, server) == [Nak(1, "GenericError", kept)]


def test_an_answer_is_given_once() -> None:
    asker, server = greeted()
    number = asker.request("x", b"{}")
    pass_on(asker, server)
    server.reply(number, b"{}")
    with pytest.raises(ValueError, match="not unanswered"):
        server.reply(number, b"{}")
    with pytest.raises(ValueError, match="not unanswered"):
        server.error(number, "GenericError", "x")


# ---- credit ----


def test_no_more_is_sent_than_was_granted() -> None:
    asker, server, number = opened(credit=10)
    assert asker.sendable(number) == 10
    with pytest.raises(ValueError, match="takes 10"):
        asker.send(number, b"x" * 11)
    asker.send(number, b"x" * 10)
    assert asker.sendable(number) == 0
    asker.send(number, b"")
    assert size_of(pass_on(asker, server)) == 10
    server.grant(number, 3)
    server.grant(number, 4)
    assert pass_on(server, asker) == [Credit(number, 7)]
    assert asker.sendable(number) == 7


def test_a_grant_beyond_the_window_follows_as_there_is_room() -> None:
    asker, server, number = opened(credit=2000)
    server.grant(number, 5000)
    assert pass_on(server, asker) == []
    asker.send(number, b"x" * 1500)
    pass_on(asker, server)
    assert pass_on(server, asker) == [Credit(number, 1500)]
    asker.send(number, b"x" * 2000)
    pass_on(asker, server)
    assert pass_on(server, asker) == [Credit(number, 2000)]


def test_nothing_can_be_sent_on_what_is_not_open() -> None:
    asker, server = greeted(TIGHT)
    number = asker.open("x", b"{}")
    assert asker.sendable(number) == asker.sendable(99) == 0
    with pytest.raises(ValueError, match="takes 0"):
        asker.send(number, b"x")
    pass_on(asker, server)
    server.grant(number, 5)  # it is given with the reply
    server.grant(99, 5)
    assert sent(server) == b""


def test_credit_before_the_answer_counts_after_it() -> None:
    asker, server = greeted(TIGHT)
    number = asker.open("x", b"{}")
    asker.grant(number, 5)
    assert pass_on(asker, server)[-1] == Credit(number, 5)
    assert server.sendable(number) == 0
    server.reply(number, b"{}")
    assert server.sendable(number) == 5


def test_credit_that_crossed_the_end_is_for_nothing() -> None:
    asker, server, number = opened()
    asker.grant(number, 5)
    server.close(number)
    crossing = sent(asker)
    pass_on(server, asker)
    assert server.receive(crossing) == []
    asker.close(number)
    asker.grant(number, 5)
    pass_on(asker, server)
    assert server.receive(encode(Credit(number, 5))) == []
    assert server.over() == ([], [])


# ---- ends ----


def test_a_clean_close_goes_out_behind_the_queue() -> None:
    asker, server, number = opened()
    server.send(number, b"x" * 1000)
    server.close(number, value=b"1")
    server.close(number, value=b"2")
    assert server.sendable(number) == 0
    asker.close(number)
    pass_on(asker, server)
    assert server.over() == ([], [number])
    frames = pass_on(server, asker)
    assert size_of(frames) == 1000
    assert frames[-1] == Close(number, None, b"1")
    assert asker.over() == server.over() == ([], [])
    server.close(number)
    server.close(number, FAILURE)
    assert sent(server) == b""


def test_an_abort_overtakes_a_close_that_waits() -> None:
    asker, server, number = opened()
    server.send(number, b"x" * 1000)
    server.close(number)
    server.close(number, FAILURE)
    server.close(number, FAILURE)
    server.grant(number, 5)
    assert pass_on(server, asker) == [Close(number, FAILURE)]
    assert pass_on(asker, server) == []
    assert asker.over() == server.over() == ([], [])


def test_what_the_peer_broke_is_not_sent_any_more() -> None:
    asker, server, number = opened()
    asker.send(number, b"x" * 1000)
    asker.close(number)
    asker.grant(number, 100)
    server.close(number, FAILURE)
    assert pass_on(server, asker) == [Close(number, FAILURE)]
    assert pass_on(asker, server) == []
    assert not asker.pending
    assert asker.over() == server.over() == ([], [])


def test_both_abort_at_once() -> None:
    asker, server, number = opened()
    asker.close(number)
    asker.close(number, FAILURE)
    server.close(number)
    server.close(number, FAILURE)
    one, other = sent(asker), sent(server)
    assert server.receive(one) == []
    assert asker.receive(other) == []
    assert sent(asker) == sent(server) == b""
    assert asker.over() == server.over() == ([], [])


def test_an_abort_after_the_peers_half_close() -> None:
    asker, server, number = opened()
    asker.close(number)
    pass_on(asker, server)
    server.close(number, FAILURE)
    assert pass_on(server, asker) == [Close(number, FAILURE)]
    assert sent(asker) == b""
    assert asker.over() == server.over() == ([], [])


def test_the_peers_failure_after_its_half_close() -> None:
    asker, server, number = opened()
    server.close(number)
    pass_on(server, asker)
    server.close(number, FAILURE)
    assert pass_on(server, asker) == [Close(number, FAILURE)]
    assert pass_on(asker, server) == []
    assert asker.over() == server.over() == ([], [])


def test_an_abort_that_crossed_the_end_is_for_nothing() -> None:
    asker, server, number = opened()
    asker.close(number)
    pass_on(asker, server)
    server.close(number)
    asker.close(number, FAILURE)
    assert pass_on(server, asker) == []
    assert pass_on(asker, server) == []
    with pytest.raises(MuxError, match="cannot be closed"):
        server.receive(encode(Close(number)))
    with pytest.raises(MuxError, match="was not opened"):
        asker.receive(encode(Close(number + 1, FAILURE)))


def test_data_that_crosses_an_abort_is_dropped_however_much() -> None:
    asker, server, number = opened()
    server.close(number, FAILURE)
    asker.send(number, b"x" * 900)
    asker.grant(number, 10)
    assert pass_on(asker, server) == []


def test_a_stream_that_is_not_answered_is_cancelled_or_refused() -> None:
    asker, server = greeted(TIGHT)
    number = asker.open("x", b"{}")
    with pytest.raises(ValueError, match="not answered"):
        asker.close(number)
    asker.close(number, FAILURE)
    asker.close(number, FAILURE)
    asker.cancel(number)
    assert pass_on(asker, server) == [Open(number, "x", b"{}", b"{}"), Cancel(number)]
    with pytest.raises(ValueError, match="refused by error"):
        server.close(number, FAILURE)
    server.error(number, "GenericError", "cancelled")
    assert pass_on(server, asker) == [Error(number, "GenericError", "cancelled")]
    assert asker.over() == server.over() == ([], [])
    asker.cancel(number)
    asker.close(number, FAILURE)
    assert sent(asker) == b""


def test_an_asker_has_no_result() -> None:
    asker, _, number = opened()
    with pytest.raises(ValueError, match="only a server"):
        asker.close(number, value=b"1")


def test_a_cancel_of_a_request_is_passed_on_while_it_is_unanswered() -> None:
    asker, server = greeted()
    number = asker.request("x", b"{}")
    pass_on(asker, server)
    asker.cancel(number)
    crossing = sent(asker)
    assert server.receive(crossing) == [Cancel(number)]
    server.reply(number, b"{}")
    assert server.receive(crossing) == []
    assert pass_on(server, asker) == [Reply(number, b"{}")]


def test_when_it_is_over_what_was_open_is_known() -> None:
    asker, server, number = opened()
    request = asker.request("x", b"{}")
    pass_on(asker, server)
    assert asker.over() == server.over() == ([request], [number])


# ---- order, and what waits ----


def test_control_then_credit_then_answers_then_events_then_bulk() -> None:
    asker, server, number = opened()
    server.send(number, b"x" * 900)
    server.event(1, "X", b"{}", 0)
    server.grant(number, 5)
    request = asker.request("x", b"{}")
    pass_on(asker, server)
    server.reply(request, b"{}")
    kinds = [type(frame) for frame in pass_on(server, asker)]
    assert kinds == [Reply, Credit, Event, Data, Data]
    asker.send(number, b"x")
    asker.nak(1, "GenericError", "no")
    asker.ack(2, 3)
    asker.request("x", b"{}")
    assert [type(frame) for frame in pass_on(asker, server)] == [Request, Nak, Ack, Data]


def test_what_is_urgent_waits_behind_one_frame() -> None:
    asker, server, number = opened(MuxLimits(), credit=1 << 20)
    request = asker.request("x", b"{}")
    pass_on(asker, server)
    server.send(number, bytes(1 << 20))
    first = server.bytes_to_send(1)
    server.reply(request, b"{}")
    assert len(first) < 70_000
    assert asker.receive(server.bytes_to_send(1) + first)[0] == Reply(request, b"{}")


def test_about_as_many_bytes_as_wanted() -> None:
    _, server, number = opened(MuxLimits(), credit=1 << 20)
    server.send(number, bytes(1 << 20))
    assert 128 * 1024 <= len(server.bytes_to_send(128 * 1024)) < 200 * 1024
    for seq in range(100):
        server.event(seq, "X", b"{}", 0)
    assert 100 <= len(server.bytes_to_send(100)) < 130


def test_acks_of_one_run_are_one() -> None:
    asker, server = greeted()
    for seq, number in [(1, 11), (2, 12), (5, 15), (6, 20)]:
        asker.ack(seq, number)
    assert pass_on(asker, server) == [Ack(5, 15), Ack(6, 20)]
    for seq in (7, 9):
        asker.ack(seq)
    asker.ack(10, 30)
    assert pass_on(asker, server) == [Ack(9, None), Ack(10, 30)]


def test_a_peer_that_sends_events_and_reads_nothing_is_found_out() -> None:
    asker, _ = greeted()
    for seq in range(EVENT_ANSWERS):
        asker.nak(seq, "GenericError", "no")
    with pytest.raises(MuxError, match="reads no answers"):
        asker.nak(EVENT_ANSWERS, "GenericError", "no")


def test_events_that_wait_are_bounded() -> None:
    asker, server = greeted()
    while server.event_room:
        server.event(1, "X", b"x" * 1000, 0)
    with pytest.raises(MuxFull, match="events"):
        server.event(2, "X", b"", 0)
    assert EVENT_BYTES <= server.pending_events <= server.pending < EVENT_BYTES + 2000
    pass_on(server, asker)
    assert server.event_room


def test_control_that_waits_is_bounded_for_an_asker() -> None:
    asker, server = greeted(MuxLimits(max_requests=10**6))
    while asker.pending_control < CONTROL_BYTES:
        asker.request("x", b"x" * 1000)
    with pytest.raises(MuxFull, match="behind"):
        asker.request("x", b"x" * 1000)
    assert CONTROL_BYTES <= asker.pending_control < CONTROL_BYTES + 2000
    pass_on(asker, server)
    assert not asker.congested
    assert asker.pending == 0


def test_the_partial_frame_is_known() -> None:
    asker, _ = greeted()
    asker.receive(encode(Event(1, "X", b"{}", 0))[:4])
    assert asker.partial == 4


def test_hello_says_what_this_end_takes() -> None:
    asker = Multiplexer("asker", TIGHT)
    (hello,) = Multiplexer("server").receive(asker.bytes_to_send(1))
    assert hello == Hello(1, 512, 2000, 2, 2)
