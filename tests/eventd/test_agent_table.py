"""Registered agents: who serves what, and who is refused."""

from __future__ import annotations

import pytest

from guestmux_eventd.agent_table import MAX_AGENTS, MAX_AGENTS_PER_USER, Agent, AgentTable
from guestmux_eventd.identity import Identity
from guestmux_eventd.refusal import Refusal
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.events import OF_AGENTS
from guestmux_protocol.registry import declared_command, declared_event


def agent(
    sender: str = ":1.1",
    path: str = "/a",
    name: str = "one",
    session: str = "c1",
    uid: int = 1000,
    commands: tuple[str, ...] = (),
    events: dict[str, str] | None = None,
) -> Agent:
    return Agent(
        sender=sender,
        path=path,
        name=name,
        version="1",
        session=session,
        identity=Identity(uid, 42, "alice"),
        bucket=TokenBucket(1, 1, lambda: 0.0),
        commands={c: declared_command(c, "") for c in commands},
        events={n: declared_event(n, text) for n, text in (events or {}).items()},
    )


def test_an_agent_is_found_by_sender_session_and_command() -> None:
    agents = AgentTable()
    one = agent(commands=("session-lock", "__org.example_x"))
    assert [name for name, _ in agents.add(one)] == ["AGENT_REGISTERED"]
    assert agents.get(":1.1", "/a") is one
    assert agents.of_sender(":1.1") == agents.of_session("c1") == [one]
    assert agents.route("c1", "session-lock") is one
    assert agents.route("c2", "session-lock") is None
    assert agents.serves("__org.example_x")


def test_an_agent_that_went_leaves_nothing_behind() -> None:
    agents = AgentTable()
    one = agent(commands=("session-lock",))
    agents.add(one)
    assert [name for name, _ in agents.remove(one, "disconnected")] == ["AGENT_GONE"]
    assert agents.remove(one, "disconnected") == []
    assert len(agents) == 0
    assert not agents.serves("session-lock")
    assert all(not table for table in vars(agents).values())


@pytest.mark.parametrize(
    "second",
    [
        agent(sender=":1.2", name="one"),
        agent(sender=":1.2", name="two", commands=("session-lock",)),
    ],
    ids=["same name in the session", "same command in the session"],
)
def test_a_second_of_the_same_is_refused(second: Agent) -> None:
    agents = AgentTable()
    agents.add(agent(commands=("session-lock",)))
    with pytest.raises(Refusal) as caught:
        agents.add(second)
    assert caught.value.error == "AlreadyRegistered"
    assert len(agents) == 1


def test_registering_again_at_the_same_object_changes_what_it_serves() -> None:
    agents = AgentTable()
    first, second = agent(commands=("session-lock",)), agent(commands=("session-logout",))
    agents.add(first)
    assert [name for name, _ in agents.add(second)] == ["AGENT_REGISTERED"]
    assert agents.route("c1", "session-lock") is None
    assert agents.route("c1", "session-logout") is second
    assert agents.remove(first, "disconnected") == []
    assert list(agents) == [second]


def test_a_refused_change_leaves_the_agent_as_it_was() -> None:
    agents = AgentTable()
    first = agent(commands=("session-lock",))
    agents.add(first)
    with pytest.raises(Refusal):
        agents.add(agent(commands=("guest-ping",)))
    assert agents.route("c1", "session-lock") is first


def test_arguments_of_eventds_own_cannot_be_declared() -> None:
    greedy = agent()
    greedy.commands["__org.example_x"] = declared_command("__org.example_x", '{"data": {"wait": "int"}}')
    with pytest.raises(Refusal, match="'wait'"):
        AgentTable().add(greedy)


def test_two_sessions_may_have_the_same_agent() -> None:
    agents = AgentTable()
    agents.add(agent(commands=("session-lock",)))
    agents.add(agent(sender=":1.2", session="c2", commands=("session-lock",)))
    assert len(agents) == 2


@pytest.mark.parametrize("command", ["guest-ping", "guest-nonsense", "session-nonsense", "reboot"])
def test_names_of_the_project_itself_are_not_for_others(command: str) -> None:
    with pytest.raises(Refusal, match="downstream prefix"):
        AgentTable().add(agent(commands=(command,)))


def test_events_need_the_prefix_and_keep_off_reserved_members() -> None:
    with pytest.raises(Refusal, match="downstream prefix"):
        AgentTable().add(agent(events={"SESSION_LOGIN": ""}))
    with pytest.raises(Refusal, match="'seq'"):
        AgentTable().add(agent(events={"__org.example_X": '{"data": {"seq": "int"}}'}))


def test_events_about_a_session_are_for_its_agents() -> None:
    agents = AgentTable()
    agents.add(agent(events=dict.fromkeys(OF_AGENTS, "")))
    assert agents.events().keys() == OF_AGENTS.keys()


def test_one_user_cannot_fill_the_table() -> None:
    agents = AgentTable()
    for number in range(MAX_AGENTS_PER_USER):
        agents.add(agent(sender=f":1.{number}", name=f"n{number}"))
    with pytest.raises(Refusal) as caught:
        agents.add(agent(sender=":2.0", name="more"))
    assert caught.value.error == "LimitExceeded"
    agents.add(agent(sender=":2.1", name="other", uid=1001))


def test_the_table_is_bounded() -> None:
    agents = AgentTable()
    for number in range(MAX_AGENTS):
        agents.add(agent(sender=f":1.{number}", name=f"n{number}", uid=0, session="system"))
    with pytest.raises(Refusal) as caught:
        agents.add(agent(sender=":2.0", name="more", uid=0, session="system"))
    assert caught.value.error == "LimitExceeded"


def test_a_bucket_refills_with_time_up_to_its_burst() -> None:
    now = [0.0]
    bucket = TokenBucket(rate=2, burst=3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 100
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_an_agent_that_registers_anew_for_another_session_is_gone_from_the_first() -> None:
    agents = AgentTable()
    agents.add(agent(session="c1"))
    (gone, first), (registered, second) = agents.add(agent(session="c2"))
    assert (gone, first.session, first.reason) == ("AGENT_GONE", "c1", "unregistered")  # type: ignore[attr-defined]
    assert (registered, second.session) == ("AGENT_REGISTERED", "c2")  # type: ignore[attr-defined]
