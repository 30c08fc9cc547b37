"""What does not leave the guest: withholding wins, titles stay by default, and nothing written wrongly is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.privacy import Privacy, whose_in
from guestmux_eventd.privacy_rules import KEPT, NUMBERED, PrivacyError, PrivacyRule, check_privacy
from guestmux_eventd.session_table import MAX_ENDED, NO_USER, SessionTable
from guestmux_protocol.events import EVENTS
from guestmux_protocol.registry import declared_event
from guestmux_protocol.sessions import Session

LOGIN = {
    "session": "c1",
    "user": "alice",
    "uid": 1000,
    "type": "tty",
    "class": "user",
    "remote-host": "laptop",
}
FOCUS = {"session": "c1", "agent": "stock", "app": "editor", "title": "my secret letter"}
TICK = "__org.example_TICK"


def whose(session: str) -> tuple[str, str]:
    return {"c1": ("user", "alice"), "c2": ("user", "bob"), "c3": ("greeter", "gdm")}.get(session, ("", ""))


def privacy(*rules: PrivacyRule) -> Privacy:
    check_privacy(rules)
    return Privacy(rules, whose)


def test_without_rules_all_leaves_but_titles() -> None:
    assert privacy().cut("SESSION_LOGIN", LOGIN) == LOGIN
    assert privacy().cut("APP_FOCUSED", FOCUS) == {"session": "c1", "agent": "stock", "app": "editor"}
    assert privacy().cut(TICK, {"title": "a third party's own"}) == {"title": "a third party's own"}


def test_titles_leave_where_a_table_allows_it() -> None:
    allowed = PrivacyRule(events=["APP_*"], users=["alice"], allow=["title"])
    assert privacy(allowed).cut("APP_FOCUSED", FOCUS) == FOCUS
    assert "title" not in (privacy(allowed).cut("APP_FOCUSED", {**FOCUS, "session": "c2"}) or {})


@pytest.mark.parametrize("order", [1, -1])
def test_withholding_wins_over_allowing_in_any_order(order: int) -> None:
    rules = [
        PrivacyRule(events=["APP_*"], allow=["title"]),
        PrivacyRule(events=["APP_FOCUSED"], withhold=["title"]),
    ][::order]
    assert "title" not in (privacy(*rules).cut("APP_FOCUSED", FOCUS) or {})
    assert privacy(*rules).cut("APP_STARTED", FOCUS) == FOCUS


def test_members_are_withheld_by_name_and_add_up() -> None:
    rules = [
        PrivacyRule(events=["SESSION_*"], withhold=["remote-host"]),
        PrivacyRule(events=["*"], withhold=["user", "uid"]),
    ]
    left = privacy(*rules).cut("SESSION_LOGIN", LOGIN)
    assert left == {"session": "c1", "type": "tty", "class": "user"}


def test_of_everything_only_counts_leave() -> None:
    counts = privacy(PrivacyRule(events=["*"], withhold=["*"]))
    assert counts.cut("SESSION_LOGIN", LOGIN) == {"session": "c1"}
    assert counts.cut("APP_FOCUSED", FOCUS) == {"session": "c1"}


def test_what_is_dropped_is_no_event() -> None:
    assert privacy(PrivacyRule(events=["APP_*"], drop=True)).cut("APP_FOCUSED", FOCUS) is None
    assert privacy(PrivacyRule(events=["APP_*"], drop=True)).cut("SESSION_LOGIN", LOGIN) == LOGIN


def test_a_rule_is_about_its_classes_and_users_only() -> None:
    by_class = privacy(PrivacyRule(events=["*"], session_class=["greeter"], drop=True))
    by_user = privacy(PrivacyRule(events=["*"], users=["b*"], drop=True))
    everybody = privacy(PrivacyRule(events=["*"], users=["*"], drop=True))
    for session, kept in (("c1", (1, 1, 0)), ("c2", (1, 0, 0)), ("c3", (0, 1, 0)), ("", (1, 1, 1))):
        data = {"session": session} if session else {}
        cuts = [rules.cut("SESSION_ACTIVE", data) for rules in (by_class, by_user, everybody)]
        assert [cut is not None for cut in cuts] == [bool(each) for each in kept], session
        assert cuts == [rules.cut("SESSION_ACTIVE", data) for rules in (by_class, by_user, everybody)]


def test_a_session_that_ended_is_still_whose_it_was() -> None:
    sessions = SessionTable()
    sessions.add(Session(session="c1", user="alice", uid=1000))
    tell = whose_in(sessions)
    assert (tell("c1"), tell("system"), tell("c9")) == (("user", "alice"), ("system", "root"), ("", ""))
    sessions.remove("c1")
    assert tell("c1") == ("user", "alice")
    for number in range(MAX_ENDED + 1):
        sessions.add(Session(session=f"x{number}", user="bob", uid=1))
        sessions.remove(f"x{number}")
    assert tell("c1") == ("", "")
    assert tell(f"x{MAX_ENDED}") == ("user", "bob")


def test_names_without_end_are_not_remembered_without_end() -> None:
    rules = privacy(PrivacyRule(events=["*"], users=["bob"], drop=True))
    for number in range(5000):
        assert rules.cut(f"__x_{number}", {"session": "c2"}) is None
        assert privacy().cut(f"__x_{number}", FOCUS) == FOCUS
    assert len(rules._particular) <= 4096


def test_a_snapshot_tells_what_the_login_told() -> None:
    assert privacy().cut_sessions([LOGIN]) == [LOGIN]
    nobody = privacy(PrivacyRule(events=["SESSION_LOGIN"], withhold=["user", "uid", "remote-host"]))
    assert nobody.cut_sessions([LOGIN]) == [{**NO_USER, "session": "c1", "type": "tty", "class": "user"}]
    assert privacy(PrivacyRule(events=["SESSION_*"], users=["bob"], drop=True)).cut_sessions(
        [LOGIN, {**LOGIN, "session": "c2"}]
    ) == [LOGIN]


def test_the_schema_says_what_need_not_be_there() -> None:
    rules = privacy(PrivacyRule(events=["SESSION_LOGIN", "__*"], users=["bob"], withhold=["user", "n"]))
    required = {
        member.name: member.required for member in rules.described(EVENTS["SESSION_LOGIN"]).data.members
    }
    assert (required["user"], required["uid"], required["tty"]) == (False, True, False)
    assert rules.described(EVENTS["SESSION_LOGOUT"]) is EVENTS["SESSION_LOGOUT"]
    declared = declared_event(TICK, json.dumps({"data": {"n": "int", "m": "int"}}))
    assert [member.required for member in rules.described(declared).data.members] == [False, True]


rules_of_anything = st.builds(
    PrivacyRule,
    events=st.lists(st.sampled_from(["*", "SESSION_*", "APP_FOCUSED", "__*"]), min_size=1, max_size=2),
    session_class=st.lists(st.sampled_from(["user", "greeter"]), max_size=1),
    users=st.lists(st.sampled_from(["alice", "b*"]), max_size=1),
    withhold=st.lists(st.sampled_from(["*", "user", "title", *KEPT]), max_size=3),
    allow=st.lists(st.sampled_from(["title", "user"]), max_size=2),
    drop=st.booleans(),
)


@given(
    st.lists(rules_of_anything, max_size=4),
    st.sampled_from(["SESSION_LOGIN", "APP_FOCUSED", TICK]),
    st.data(),
)
def test_whatever_the_rules_events_keep_their_place_and_lose_what_is_withheld(
    rules: list[PrivacyRule], name: str, data: st.DataObject
) -> None:
    members = {
        **dict.fromkeys(KEPT, 1),
        **LOGIN,
        **FOCUS,
        "session": data.draw(st.sampled_from(["c1", "c2", "c3"])),
    }
    about = [
        rule
        for rule in rules
        if rule.concerns(*whose(str(members["session"])))
        and any(name in (event, *_matched(event)) for event in rule.events)
    ]
    left = Privacy(rules, whose).cut(name, members)
    assert left == Privacy(rules[::-1], whose).cut(name, members)
    assert (left is None) == any(rule.drop for rule in about)
    if left is not None:
        assert left.keys() >= KEPT
        withheld = {member for rule in about for member in rule.withhold}
        allowed = {member for rule in about for member in rule.allow}
        gone = members.keys() - KEPT if "*" in withheld else withheld - KEPT
        if name == "APP_FOCUSED" and "title" not in allowed:
            gone |= {"title"}
        assert members.keys() - left.keys() == gone


def _matched(glob: str) -> list[str]:
    every = ["SESSION_LOGIN", "APP_FOCUSED", TICK]
    return {"*": every, "SESSION_*": every[:1], "APP_FOCUSED": every[1:2], "__*": every[2:]}[glob]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"events": ["SESSION_LOGN"], "withhold": ["user"]}, "is 'SESSION_LOGIN' meant?"),
        ({"events": ["a b"], "withhold": ["user"]}, "no event pattern"),
        ({"events": ["*"], "withhold": ["usr"]}, "no event there has a 'usr'; is 'user' meant?"),
        ({"events": [f"A{n}*" for n in range(65)], "drop": True}, "at most 64"),
        ({"events": ["BEACON"], "drop": True}, "matches no event"),
        ({"events": ["EVENTS_LOST"], "drop": True}, "matches no event"),
        ({"events": ["*"]}, "neither withholds"),
        ({"events": ["*"], "drop": True, "withhold": ["user"]}, "nothing left"),
        ({"events": ["SESSION_*"], "withhold": ["session"]}, "cannot be withheld"),
        ({"events": ["*"], "withhold": ["seq"]}, "cannot be withheld"),
        ({"events": ["*"], "withhold": ["epoch"]}, "cannot be withheld"),
        ({"events": ["*"], "withhold": ["source"]}, "cannot be withheld"),
        ({"events": ["SESSION_LOGOUT"], "withhold": ["remote-host"]}, "no event there has a 'remote-host'"),
        ({"events": ["SESSION_*"], "allow": ["title"]}, "not withheld by default"),
        ({"events": ["APP_*"], "allow": ["user"]}, "not withheld by default"),
        ({"events": ["*"], "session-class": ["usr"], "drop": True}, "is 'user' meant?"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(table: dict[str, Any], text: str) -> None:
    rule = PrivacyRule(**{name.replace("-", "_"): value for name, value in table.items()})
    fine = PrivacyRule(events=["APP_*"], allow=["title"])
    with pytest.raises(PrivacyError, match="privacy 2: ") as caught:
        check_privacy([fine, rule])
    assert text in str(caught.value)


def test_other_peoples_events_are_not_known() -> None:
    check_privacy([PrivacyRule(events=["__org.example_*"], withhold=["anything"])])
    check_privacy([PrivacyRule(events=["__*"], drop=True)])


def test_a_rule_in_one_line() -> None:
    rule = PrivacyRule(
        events=["APP_*", "__*"], session_class=["user"], users=["b*"], withhold=["*"], allow=["title"]
    )
    assert rule.describe() == "APP_* __*, user user:b*; withhold *; allow title"
    assert PrivacyRule(events=["APP_*"], drop=True).describe() == "APP_*, all sessions; drop"
    assert repr(privacy(rule)) == "<Privacy 1 rules>"
    assert repr(privacy(rule).of("APP_FOCUSED", "c2")) == "<Cut *>"
    assert repr(privacy(PrivacyRule(events=["*"], drop=True)).of("X", "")) == "<Cut everything: no event>"
    assert "SESSION_LOGIN" in NUMBERED
    assert "BEACON" not in NUMBERED
