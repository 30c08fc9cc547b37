"""The stand-in's tables: what changes, and what is told of it, in logind's order."""

import itertools
from collections.abc import Callable

import pytest

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.effects import Changed, Effect, Signal
from guestmux.demo.standin_logind.logins import Logins
from guestmux.demo.standin_logind.records import Moment
from guestmux_transport.errors import MethodError


@pytest.fixture
def logins() -> Logins:
    ticks = itertools.count(1)

    def now() -> Moment:
        tick = next(ticks)
        return Moment(1_000_000 + tick, tick)

    return Logins(now)


def told(effects: list[Effect]) -> list[str]:
    """What an observer of the bus sees, in short."""
    return [_short(effect) for effect in effects]


def _short(effect: Effect) -> str:
    where = effect.path.removeprefix(names.MANAGER_PATH) or "/"
    if isinstance(effect, Changed):
        return f"{where} {' '.join(effect.properties)}"
    return f"{where} {effect.member}!"


@pytest.mark.parametrize(
    ("session", "path"),
    [("3", "_33"), ("c2", "c2"), ("12", "_312"), ("a_b", "a_5fb"), ("", "_"), ("ä", "_c3_a4")],
)
def test_session_paths_are_escaped_as_sd_bus_path_encode_does(session: str, path: str) -> None:
    assert names.session_path(session) == f"/org/freedesktop/login1/session/{path}"


def test_user_paths_have_the_uid() -> None:
    assert names.user_path(1000) == "/org/freedesktop/login1/user/_1000"


def test_a_login_is_told_in_logind_s_order(logins: Logins) -> None:
    session, effects = logins.login("alice", 1000, {})
    assert session.id == "c1"
    assert told(effects) == [
        "/ UserNew!",
        "/ SessionNew!",
        "/user/_1000 Display",
        "/session/c1 Active",
        "/seat/seat0 ActiveSession",
    ]


def test_a_second_login_of_a_user_brings_no_new_user(logins: Logins) -> None:
    logins.login("alice", 1000, {})
    assert "/ UserNew!" not in told(logins.login("alice", 1000, {})[1])


def test_the_signals_carry_id_and_path(logins: Logins) -> None:
    _session, effects = logins.login("alice", 1000, {}, session="3", activate=False)
    signals = [effect for effect in effects if isinstance(effect, Signal)]
    assert [signal.body for signal in signals] == [
        (1000, "/org/freedesktop/login1/user/_1000"),
        ("3", "/org/freedesktop/login1/session/_33"),
    ]


def test_a_logout_is_told_in_logind_s_order(logins: Logins) -> None:
    logins.login("alice", 1000, {})
    assert told(logins.remove("c1")) == [
        "/ SessionRemoved!",
        "/seat/seat0 ActiveSession",
        "/user/_1000 Display",
        "/ UserRemoved!",
    ]
    assert logins.forget_user(1000)
    assert not logins.users


def test_a_user_stays_until_the_last_session_ends(logins: Logins) -> None:
    logins.login("alice", 1000, {})
    logins.login("alice", 1000, {"type": "tty"})
    assert "/ UserRemoved!" not in told(logins.remove("c1"))
    assert not logins.forget_user(1000)


def test_switching_changes_both_sessions_and_the_seat(logins: Logins) -> None:
    logins.login("alice", 1000, {})
    logins.login("bob", 1001, {})
    assert told(logins.set_active("seat0", "c1")) == [
        "/session/c2 Active",
        "/session/c1 Active",
        "/seat/seat0 ActiveSession",
    ]
    assert logins.set_active("seat0", "c1") == []


def test_states(logins: Logins) -> None:
    alice, _ = logins.login("alice", 1000, {})
    bob, _ = logins.login("bob", 1001, {})
    assert [logins.session_state(each) for each in (alice, bob)] == ["online", "active"]
    assert logins.user_state(logins.user(1000)) == "online"
    bob.closing = True
    assert logins.session_state(bob) == "closing"
    assert logins.user_state(logins.user(1001)) == "closing"


def test_a_session_without_a_seat_is_always_active(logins: Logins) -> None:
    ssh, effects = logins.login("alice", 1000, {"seat": "", "type": "tty", "remote": True})
    assert logins.is_active(ssh)
    assert told(effects)[-1] == "/user/_1000 Display"


def test_the_graphical_session_stands_for_the_user(logins: Logins) -> None:
    logins.login("alice", 1000, {"type": "tty"})
    graphical, _ = logins.login("alice", 1000, {"type": "wayland"}, activate=False)
    logins.login("alice", 1000, {"class": "greeter"})
    assert logins.display_of(logins.user(1000)) is graphical


def test_a_lock_is_asked_for_and_then_confirmed_by_the_locker(logins: Logins) -> None:
    session, _ = logins.login("alice", 1000, {})
    assert told(logins.ask_to_lock("c1", lock=True)) == ["/session/c1 Lock!", "/session/c1 LockedHint"]
    assert session.locked


def test_without_a_locker_a_lock_is_only_asked_for(logins: Logins) -> None:
    session, _ = logins.login("alice", 1000, {"locker": False})
    assert told(logins.ask_to_lock("c1", lock=True)) == ["/session/c1 Lock!"]
    assert not session.locked


def test_locking_twice_changes_nothing_the_second_time(logins: Logins) -> None:
    logins.login("alice", 1000, {})
    logins.set_locked("c1", locked=True)
    assert logins.set_locked("c1", locked=True) == []


def test_idle_is_told_by_session_seat_user_and_manager(logins: Logins) -> None:
    session, _ = logins.login("alice", 1000, {})
    hint = "IdleHint IdleSinceHint IdleSinceHintMonotonic"
    paths = ["/session/c1", "/seat/seat0", "/user/_1000", "/"]
    assert told(logins.set_idle("c1", idle=True)) == [f"{path} {hint}" for path in paths]
    assert session.idle_since == Moment(1_000_002, 2)
    assert logins.set_idle("c1", idle=True) == []


def test_a_text_session_takes_no_idle_hint(logins: Logins) -> None:
    logins.login("alice", 1000, {"type": "tty"})
    with pytest.raises(MethodError, match="not supported on non-graphical") as caught:
        logins.set_idle("c1", idle=True)
    assert caught.value.name == names.NOT_SUPPORTED


def test_what_is_not_there(logins: Logins) -> None:
    finds: list[tuple[Callable[[], object], str]] = [
        (lambda: logins.session("7"), names.NO_SUCH_SESSION),
        (lambda: logins.seat("seat9"), names.NO_SUCH_SEAT),
        (lambda: logins.user(7), names.NO_SUCH_USER),
    ]
    for find, name in finds:
        with pytest.raises(MethodError) as caught:
            find()
        assert caught.value.name == name


@pytest.mark.parametrize("options", [{"colour": "red"}, {"vtnr": "1"}, {"remote": 1}])
def test_options_that_do_not_fit_are_refused(logins: Logins, options: dict[str, object]) -> None:
    with pytest.raises(MethodError) as caught:
        logins.login("alice", 1000, options)
    assert caught.value.name == names.INVALID_ARGS
    assert not logins.sessions


def test_an_id_is_given_once(logins: Logins) -> None:
    logins.login("alice", 1000, {}, session="c1")
    with pytest.raises(MethodError, match="exists already"):
        logins.login("bob", 1001, {}, session="c1")
    assert logins.login("bob", 1001, {})[0].id == "c2"
