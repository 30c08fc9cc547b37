"""How fast clients may emit: leaving, coming back and taking turns buys nobody more than agents at a time have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.emit_allowance import BURST_SECONDS, MAX_USERS, EmitAllowance
from guestmux_eventd.token_bucket import TokenBucket

RATE = 10.0
BURST = int(RATE * BURST_SECONDS)


class Rig:
    def __init__(self) -> None:
        self.now = 0.0
        self.allowance = EmitAllowance(RATE, lambda: self.now)

    def use_up(self, bucket: TokenBucket) -> int:
        count = 0
        while bucket.take():
            count += 1
        return count


def test_who_comes_back_finds_what_it_left() -> None:
    rig = Rig()
    first = rig.allowance.take(1000)
    assert rig.use_up(first) == BURST
    rig.allowance.give_back(1000, first)
    again = rig.allowance.take(1000)
    assert rig.use_up(again) == 0
    rig.now = 1.0
    assert rig.use_up(again) == RATE


def test_another_user_and_another_agent_at_the_same_time_have_their_own() -> None:
    rig = Rig()
    rig.use_up(bucket := rig.allowance.take(1000))
    assert rig.use_up(rig.allowance.take(1000)) == BURST
    rig.allowance.give_back(1000, bucket)
    assert rig.use_up(rig.allowance.take(1001)) == BURST


def test_full_ones_are_not_kept_and_users_are_bounded() -> None:
    rig = Rig()
    for uid in range(MAX_USERS + 1):
        bucket = rig.allowance.take(uid)
        bucket.take()
        rig.allowance.give_back(uid, bucket)
    assert repr(rig.allowance) == f"<EmitAllowance 10/s, {MAX_USERS + 1} used>"
    rig.now = 1.0
    rig.allowance.give_back(5000, TokenBucket(RATE, BURST, lambda: rig.now))
    assert repr(rig.allowance) == "<EmitAllowance 10/s, 0 used>"


@given(
    st.lists(st.tuples(st.sampled_from(["come", "leave", "emit", "wait"]), st.integers(0, 3)), max_size=60)
)
def test_however_they_take_turns(story: list[tuple[str, int]]) -> None:
    rig = Rig()
    at_once, most, emitted = [], 0, 0
    for what, number in story:
        if what == "come":
            at_once.append(rig.allowance.take(1))
            most = max(most, len(at_once))
        elif what == "wait":
            rig.now += 0.5
        elif at_once and what == "leave":
            rig.allowance.give_back(1, at_once.pop(number % len(at_once)))
        elif at_once:
            emitted += rig.use_up(at_once[number % len(at_once)])
    assert emitted <= most * (BURST + RATE * rig.now)
