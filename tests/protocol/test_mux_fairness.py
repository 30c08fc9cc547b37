"""Who gets how much of the way out: groups alike, then the streams of a group alike."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.mux import Data, Failure, Frame, Multiplexer, MuxLimits
from guestmux_protocol.mux.stream_queue import SMALL, StreamQueue
from tests.support.mux_ends import greeted, pass_on, sent

FRAME = 512
LIMITS = MuxLimits(max_frame=FRAME, window=1 << 20)


def streams(groups: list[str]) -> tuple[Multiplexer, Multiplexer, list[int]]:
    """A server with one open stream for each entry, of that group."""
    asker, server = greeted(LIMITS)
    numbers = [asker.open("x", b"{}", credit=1 << 20) for _ in groups]
    pass_on(asker, server)
    for number, group in zip(numbers, groups, strict=True):
        server.reply(number, b"{}", group=group)
    pass_on(server, asker)
    return asker, server, numbers


def turns(asker: Multiplexer, server: Multiplexer, count: int) -> list[int]:
    """Whose frames the next ones are."""
    frames: list[Frame] = []
    for _ in range(count):
        frames += asker.receive(server.bytes_to_send(1))
    return [frame.stream for frame in frames if isinstance(frame, Data)]


def test_streams_take_turns() -> None:
    asker, server, (a, b, c) = streams(["", "", ""])
    for number in (a, b, c):
        server.send(number, bytes(4 * FRAME))
    assert turns(asker, server, 7) == [a, b, c, a, b, c, a]


def test_groups_take_turns_and_then_their_streams() -> None:
    asker, server, (a, b, c, d) = streams(["alice", "alice", "alice", "bob"])
    for number in (a, b, c, d):
        server.send(number, bytes(9 * FRAME))
    assert turns(asker, server, 8) == [a, d, b, d, c, d, a, d]


def test_who_comes_later_waits_one_round() -> None:
    asker, server, (a, b) = streams(["", ""])
    server.send(a, bytes(9 * FRAME))
    assert turns(asker, server, 2) == [a, a]
    server.send(b, bytes(FRAME))
    assert turns(asker, server, 3) == [a, b, a]


def test_who_was_dropped_has_no_turn() -> None:
    asker, server, (a, b, c) = streams(["alice", "bob", "bob"])
    for number in (a, b, c):
        server.send(number, bytes(2 * FRAME))
    server.close(a, Failure("GenericError", "x", "agent"))
    server.close(b, Failure("GenericError", "x", "agent"))
    frames = asker.receive(server.bytes_to_send(100_000))
    assert [frame.stream for frame in frames if isinstance(frame, Data)] == [c, c]
    assert not server.pending


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), min_size=1, max_size=12))
def test_nobody_gets_more_than_a_turn_ahead(wanted: list[tuple[str, int]]) -> None:
    """While two groups, or two streams of a group, have something to send, neither is two turns ahead."""
    asker, server, numbers = streams([group for group, _ in wanted])
    group_of = dict(zip(numbers, (group for group, _ in wanted), strict=True))
    left = Counter({number: frames for number, (_, frames) in zip(numbers, wanted, strict=True)})
    for number in numbers:
        server.send(number, bytes(left[number] * FRAME))
    since: Counter[int] = Counter()
    group_since: Counter[str] = Counter()
    for number in turns(asker, server, left.total()):
        left[number] -= 1
        waiting = {other for other in numbers if left[other]} - {number}
        same = {other for other in waiting if group_of[other] == group_of[number]}
        for other in same:
            since[other] += 1
            assert since[other] <= len([each for each in numbers if group_of[each] == group_of[number]])
        since[number] = 0
        for group in {group_of[other] for other in waiting} - {group_of[number]}:
            group_since[group] += 1
            assert group_since[group] <= len({group for group, _ in wanted})
        group_since[group_of[number]] = 0
    assert left.total() == 0
    assert sent(server) == b""


def test_small_pieces_go_together_and_large_ones_as_they_are() -> None:
    queue = StreamQueue()
    large = bytes(SMALL)
    for piece in (b"a", b"b", large, b"c", memoryview(b"d")):
        queue.add(piece)
    assert queue.size == SMALL + 4
    assert queue.take(SMALL) == b"ab"
    assert queue.take(SMALL) is large
    assert queue.take(1) == b"c"
    queue.add(b"e")
    assert queue.take(10) == b"d"
    queue.clear()
    assert queue.size == 0


@given(st.lists(st.sampled_from([1, 2, 100, SMALL - 1, SMALL, SMALL + 1, 9000])), st.integers(1, 9000))
def test_a_queue_gives_what_it_was_given(sizes: list[int], most: int) -> None:
    whole = bytes(range(251)) * 200
    queue, given_bytes, taken = StreamQueue(), bytearray(), bytearray()
    for size in sizes:
        start = len(given_bytes) % 251
        given_bytes += whole[start : start + size]
        queue.add(whole[start : start + size])
        assert queue.size == len(given_bytes)
    while queue.size:
        part = queue.take(most)
        assert 0 < len(part) <= most
        taken += part
    assert taken == given_bytes
