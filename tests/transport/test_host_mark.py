"""What is remembered of a host's beginning."""

from guestmux_transport.host_mark import JOINED_SECONDS, UNANSWERED_BYTES, HostMark


def test_who_begins_with_the_mark_has_not_joined_anybody() -> None:
    mark = HostMark()
    mark.received(b"\xff")
    mark.received(b"sync")
    assert mark.unanswered == b"\xffsync"
    assert not mark.has_joined


def test_who_comes_behind_anothers_bytes_has_joined_for_a_moment() -> None:
    now = 5.0
    mark = HostMark(lambda: now)
    mark.received(b"first")
    mark.received(b"\xffsecond")
    assert mark.has_joined
    assert repr(mark) == "<HostMark unanswered=7 has_joined=True>"
    now += JOINED_SECONDS + 0.1
    assert not mark.has_joined


def test_a_beginning_is_bounded() -> None:
    mark = HostMark()
    mark.received(b"\xff" + bytes(UNANSWERED_BYTES - 1))
    assert len(mark.unanswered) == UNANSWERED_BYTES
    mark.received(b"x")
    assert mark.unanswered == b""
