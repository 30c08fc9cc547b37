"""What hosts called in a user's sessions: counted by kind, so that no flood of one hides another."""

from __future__ import annotations

from itertools import count

from guestmux_eventd.call_log import MAX_KINDS, MAX_USERS, CallLog


def new_log() -> CallLog:
    clock = count(1.0)
    return CallLog(lambda: next(clock))


def test_calls_are_counted_by_kind_with_the_latest_last() -> None:
    log = new_log()
    for command in ("guest-exec", "session-lock", "guest-exec"):
        log.add(1000, "c1", command, "done", "p")
    log.add(1001, "c2", "guest-exec", "failed", "p")
    (lock, locked), (execute, executed) = log.of(1000)
    assert lock == ("c1", "session-lock", "done", "p")
    assert (locked.count, locked.first, locked.last) == (1, 2.0, 2.0)
    assert execute == ("c1", "guest-exec", "done", "p")
    assert (executed.count, executed.first, executed.last) == (2, 1.0, 3.0)
    assert [kind for kind, _ in log.of(1001)] == [("c2", "guest-exec", "failed", "p")]
    assert log.of(5) == []
    assert repr(log) == "<CallLog 2 users>"


def test_a_flood_of_other_calls_hides_none() -> None:
    log = new_log()
    log.add(1000, "c1", "guest-exec", "done", "p")
    for number in range(10_000):
        log.add(1000, "c1", f"session-{number % 100}", "done", "p")
    assert log.of(1000)[0][0][1] == "guest-exec"


def test_kinds_and_users_are_bounded() -> None:
    log = new_log()
    for number in range(MAX_KINDS + 1):
        log.add(1000, "c1", f"x{number}", "done", "p")
    kinds = [kind[1] for kind, _ in log.of(1000)]
    assert (len(kinds), kinds[0], kinds[-1]) == (MAX_KINDS, "x1", f"x{MAX_KINDS}")
    for uid in range(MAX_USERS):
        log.add(uid, "c1", "x", "done", "p")
    assert log.users() == list(range(MAX_USERS))
