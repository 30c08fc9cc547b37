"""The table of handles fits the commands that it speaks of."""

from __future__ import annotations

import pytest

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.handles import CLOSING, HANDLES, unknown_handle
from guestmux_protocol.schema import INT, Object, Type


def members(kind: Type) -> dict[str, Type]:
    assert isinstance(kind, Object)
    return {member.name: member.type for member in kind.members}


@pytest.mark.parametrize("name", HANDLES)
def test_what_it_names_are_integers_of_the_command(name: str) -> None:
    use, command = HANDLES[name], GUEST[name]
    if use.takes:
        assert members(command.arguments)[use.takes] == INT
        assert use.takes == CLOSING[use.kind][1]
    if use.gives is not None:
        assert (members(command.returns)[use.gives] if use.gives else command.returns) == INT
    if use.ends_when:
        assert use.ends_when in members(command.returns)


def test_every_command_that_has_a_handle_or_pid_is_in_it() -> None:
    named = {name for name, command in GUEST.items() if {"handle", "pid"} & members(command.arguments).keys()}
    assert named <= HANDLES.keys()


def test_what_closes_takes_one_and_ends_it() -> None:
    for kind, (command, argument) in CLOSING.items():
        assert HANDLES[command].kind == kind
        assert HANDLES[command].takes == argument
        assert HANDLES[command].ends


def test_unknown_numbers_are_refused_in_qemu_ga_s_words() -> None:
    assert unknown_handle("file", 7) == "handle '7' has not been found"
    assert unknown_handle("process", 7) == "PID 7 does not exist"
