"""The policy: deny wins, an allow list shuts out the rest, and nothing written wrongly is taken."""

from __future__ import annotations

import pytest

from guestmux_eventd.policy import ALWAYS, Policy, PolicyError, PolicyRule, check_policy, check_policy_ports

KNOWN = ("guest-exec", "guest-exec-status", "guest-file-open", "guest-ping", "guest-sync", "session-lock")


def test_without_rules_everything_is_allowed() -> None:
    assert Policy().allows("guest-exec", "qga", "system")


def test_deny_wins_over_allow() -> None:
    policy = Policy([PolicyRule(allow=["guest-*"]), PolicyRule(deny=["guest-exec*"])])
    assert policy.allows("guest-file-open", "qga")
    assert not policy.allows("guest-exec-status", "qga")


def test_an_allow_list_shuts_out_what_it_does_not_name() -> None:
    policy = Policy([PolicyRule(allow=["session-*"])])
    assert policy.allows("session-lock", "p")
    assert not policy.allows("__org.example_x", "p")
    assert not Policy([PolicyRule(allow=[])]).allows("session-lock", "p")


def test_two_allow_lists_that_concern_a_command_add_up() -> None:
    policy = Policy([PolicyRule(allow=["guest-exec"]), PolicyRule(port="a*", allow=["session-lock"])])
    assert policy.allows("session-lock", "abc")
    assert not policy.allows("session-lock", "x")
    assert policy.allows("guest-exec", "abc")


def test_a_rule_is_about_its_port_and_its_classes_only() -> None:
    rule = PolicyRule(port="virtio:org.qemu.*", session_class=["greeter", "system"], deny=["*"])
    policy = Policy([rule])
    port = "virtio:org.qemu.guest_agent.0"
    assert not policy.allows("guest-exec", port, "system")
    assert not policy.allows("guest-exec", port, "greeter")
    assert policy.allows("guest-exec", port, "user")
    assert policy.allows("guest-exec", port)
    assert policy.allows("guest-exec", "virtio:org.guestmux.0", "system")


def test_what_every_host_needs_is_never_refused_unless_the_caller_says_so() -> None:
    everything = [PolicyRule(deny=["*"])]
    assert all(Policy(everything).allows(name, "p") for name in ALWAYS)
    assert not Policy(everything, always=frozenset()).allows("guest-ping", "p")


def test_what_has_to_be_enabled_is_refused_until_it_is() -> None:
    port = "virtio:org.guestmux.0"
    assert not Policy().allows("guest-connect", port, "user")
    assert not Policy([PolicyRule(allow=["guest-connect"])]).allows("guest-connect", port, "user")
    enabled = PolicyRule(session_class=["user"], enable=["guest-connect"])
    policy = Policy([enabled])
    assert policy.allows("guest-connect", port, "user")
    assert not policy.allows("guest-connect", port, "system")
    assert policy.allows("guest-exec", port, "user")


def test_what_is_enabled_can_be_refused_all_the_same() -> None:
    enabled = PolicyRule(enable=["guest-connect"])
    for other in (PolicyRule(deny=["guest-conn*"]), PolicyRule(allow=["guest-exec"])):
        assert not Policy([enabled, other]).allows("guest-connect", "p", "user")
    assert "enable guest-connect" in enabled.describe()


def test_answers_do_not_change_when_asked_again() -> None:
    policy = Policy([PolicyRule(deny=["guest-exec"])])
    assert [policy.allows("guest-exec", "p") for _ in range(3)] == [False] * 3
    for number in range(5000):
        assert policy.allows(f"__x_{number}", "p")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            PolicyRule(deny=["guest-exec;guest-file-open"]),
            "policy 1: deny: 'guest-exec;guest-file-open' is no pattern",
        ),
        (PolicyRule(deny=["guest-exec,guest-ping"]), "is no pattern"),
        (PolicyRule(allow=["guest-[e]xec"]), "policy 1: allow: 'guest-[e]xec' is no pattern"),
        (PolicyRule(deny=[""]), "is no pattern"),
        (PolicyRule(deny=["guest-exce"]), "'guest-exce' matches no command; is 'guest-exec' meant?"),
        (PolicyRule(deny=["zzz*"]), "'zzz*' matches no command"),
        (PolicyRule(deny=["guest-ping"]), "'guest-ping' cannot be refused"),
        (
            PolicyRule(session_class=["usr"], deny=["guest-exec"]),
            "session-class: 'usr' is none; is 'user' meant?",
        ),
        (PolicyRule(port="*"), "policy 1: it neither allows nor denies anything"),
        (PolicyRule(enable=["guest-exec"]), "enable: 'guest-exec' is none of what has to be: guest-connect"),
    ],
)
def test_what_is_written_wrongly_is_refused_and_named(rule: PolicyRule, text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check_policy([rule], KNOWN)
    assert text in str(caught.value)


def test_what_is_written_rightly_is_taken() -> None:
    rules = [
        PolicyRule(allow=["guest-ping", "guest-*", "__org.example_*"]),
        PolicyRule(session_class=["system"], deny=["guest-exec*", "*"]),
    ]
    check_policy(rules, KNOWN)
    check_policy_ports(rules, ["virtio:x"])


def test_a_rule_about_a_port_that_is_not_served_is_refused() -> None:
    rule = PolicyRule(port="virtio:org.qmeu.*", deny=["*"])
    with pytest.raises(
        PolicyError, match=r"policy 1: port: 'virtio:org.qmeu.\*' matches none of virtio:org.qemu.x"
    ):
        check_policy_ports([rule], ["virtio:org.qemu.x"])
    check_policy_ports([rule], [])
