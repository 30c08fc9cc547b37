"""Fast user switching: two users at once, each with an agent, and hosts that are told whose turn it is."""

from collections.abc import Callable

import pytest

from tests.guest.event_host import EventHost
from tests.guest.logins import Login
from tests.guest.rig import Guest
from tests.guest.two_users import BACKGROUND, LISTENED_TO, TwoUsers

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]

LogInOnSeat = Callable[[str], Login]


def test_two_users_take_turns(guest: Guest, log_in_on_seat: LogInOnSeat) -> None:
    with EventHost(guest.port("qmp")).greeted() as host:
        host.subscribe(*LISTENED_TO)
        alice, bob = log_in_on_seat("alice"), log_in_on_seat("bob")
        users = TwoUsers(guest, host, alice, bob)
        users.have_agents()
        users.check_that_both_are_reached()
        # A seat without virtual terminals shows who came last.
        users.check_that_one_is_shown(bob)
        for login in (alice, bob, alice):
            users.show(login)


def test_who_logs_out_leaves_the_screen_to_nobody(guest: Guest, log_in_on_seat: LogInOnSeat) -> None:
    with EventHost(guest.port("qmp")).greeted() as host:
        host.subscribe(*LISTENED_TO)
        alice, bob = log_in_on_seat("alice"), log_in_on_seat("bob")
        users = TwoUsers(guest, host, alice, bob)
        users.have_agents()
        users.show(alice)
        alice.terminate()
        host.until(lambda host: "session" not in host.data("SESSION_ACTIVE")[-1])
        assert "error" in host.ask("session-get-info", session="active")
        assert users.info("user:bob") == (bob.session, "bob")
        assert users.clipboard_refusal(bob) == BACKGROUND
        bob.activate()
        host.until(lambda host: host.data("SESSION_ACTIVE")[-1].get("session") == bob.session)
        assert users.info("active") == (bob.session, "bob")
