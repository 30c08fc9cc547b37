"""Credit on its way through eventd: none is lost, each stream has some, and all together are bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.credit_pool import LEAST, CreditPool, CreditWay
from guestmux_protocol.mux import Multiplexer

WINDOW = 1 << 20


class Receiver:
    """A stream's receiver and its sender, with eventd's way of credit between them."""

    def __init__(self, pool: CreditPool, sink: Multiplexer) -> None:
        self.offered = self.granted = self.sent = 0
        self.way = CreditWay(pool, sink)
        self.way.connect(self._grant)

    def _grant(self, count: int) -> None:
        assert count > 0
        self.granted += count

    def offer(self, count: int) -> None:
        self.offered += count
        self.way.offer(count)

    def send(self, most: int) -> int:
        count = min(most, self.granted - self.sent)
        self.sent += count
        if count:
            self.way.used(count)
        return count


def test_a_single_stream_gets_its_whole_window_at_once() -> None:
    receiver = Receiver(CreditPool(), Multiplexer("server"))
    receiver.offer(WINDOW)
    assert receiver.granted == WINDOW


def test_a_thousand_streams_get_a_share_each_and_no_more_than_the_pool() -> None:
    pool = CreditPool(8 * WINDOW)
    receivers = [Receiver(pool, Multiplexer("server")) for _ in range(1000)]
    for receiver in receivers:
        receiver.offer(WINDOW)
    assert min(receiver.granted for receiver in receivers) == LEAST
    assert sum(receiver.granted for receiver in receivers) <= 8 * WINDOW + 1000 * LEAST


def test_what_a_stream_that_ended_had_goes_to_others() -> None:
    pool = CreditPool(WINDOW + LEAST)
    first, second = (Receiver(pool, Multiplexer("server")) for _ in range(2))
    first.offer(WINDOW)
    second.offer(WINDOW)
    assert first.granted == second.granted == WINDOW // 2
    first.way.end()
    assert second.send(1000) == 1000
    assert second.granted == WINDOW


def test_where_the_pool_is_short_credit_goes_in_whole_frames_and_not_for_each() -> None:
    pool = CreditPool(20 * 4 * LEAST + LEAST // 2)
    receivers = [Receiver(pool, Multiplexer("server")) for _ in range(20)]
    for receiver in receivers:
        receiver.offer(8 * LEAST)
        assert receiver.granted == 4 * LEAST
    frames = taken = 0
    for receiver in receivers * 8:
        before = receiver.granted
        frames += receiver.send(LEAST) == LEAST
        taken += receiver.granted > before
        receiver.offer(LEAST)
        assert not receiver.granted % LEAST
    assert frames == 20 * 8
    assert taken <= frames // 2


def test_the_first_streams_leave_room_for_those_that_come() -> None:
    pool = CreditPool(16 * LEAST + LEAST // 2)
    receivers = [Receiver(pool, Multiplexer("server")) for _ in range(4)]
    for receiver in receivers:
        receiver.offer(16 * LEAST)
    assert [receiver.granted for receiver in receivers] == [4 * LEAST] * 4
    receivers[0].way.end()
    receivers[0].way.end()
    assert pool.ways == 3


def test_what_moved_is_told() -> None:
    told: list[int] = []
    receiver = Receiver(CreditPool(moved=told.append), Multiplexer("server"))
    receiver.offer(10)
    receiver.send(4)
    receiver.send(6)
    assert told == [4, 6]


def test_credit_that_came_before_the_sender_could_be_reached_is_kept() -> None:
    granted: list[int] = []
    way = CreditWay(CreditPool(), Multiplexer("server"))
    way.offer(5)
    way.offer(6)
    way.connect(granted.append)
    assert granted == [11]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["offer", "send"]), st.integers(1, WINDOW)), max_size=80
    ),
    st.integers(1, 2 * WINDOW),
)
def test_no_credit_is_lost_and_nobody_stops(steps: list[tuple[int, str, int]], size: int) -> None:
    pool = CreditPool(size)
    receivers = [Receiver(pool, Multiplexer("server")) for _ in range(4)]
    for index, step, count in steps:
        receiver = receivers[index]
        if step == "offer":
            receiver.offer(min(count, WINDOW - receiver.offered + receiver.sent))
        else:
            receiver.send(count)
        assert pool.open == sum(receiver.granted - receiver.sent for receiver in receivers)
        assert pool.open <= max(size, 0) + 4 * LEAST
        assert all(receiver.granted <= receiver.offered for receiver in receivers)
    for receiver in receivers:
        while receiver.sent < receiver.offered:
            assert receiver.send(WINDOW), "credit is held, and nothing will move it"
    assert pool.open == 0
