"""The gate that is shut while file systems are frozen."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux_eventd.freeze_gate import FreezeGate


@pytest.fixture
def gate() -> FreezeGate:
    return FreezeGate()


def test_it_shuts_before_anything_is_frozen_and_opens_with_the_thaw(gate: FreezeGate) -> None:
    told: list[bool] = []
    gate.watch(told.append)
    assert gate.admits("guest-exec")
    gate.freezing()
    assert not gate.admits("guest-exec")
    gate.freeze_ended(2)
    assert gate.frozen
    assert gate.admits("guest-fsfreeze-thaw")
    assert gate.admits("guest-fsfreeze-status")
    assert not gate.admits("guest-fsfreeze-freeze")
    gate.thawed()
    assert gate.admits("guest-exec")
    assert told == [True, False]


@pytest.mark.parametrize(("value", "frozen"), [(0, False), (1, True), (None, True)])
def test_what_a_freeze_ended_with_decides(gate: FreezeGate, value: Any, frozen: bool) -> None:
    gate.freezing()
    gate.freeze_ended(value)
    assert gate.frozen is frozen


def test_the_agent_s_status_is_believed(gate: FreezeGate) -> None:
    gate.status("frozen")
    assert repr(gate) == "<FreezeGate FROZEN>"
    gate.status("thawed")
    assert repr(gate) == "<FreezeGate THAWED>"


def test_a_status_does_not_open_it_while_a_freeze_is_under_way(gate: FreezeGate) -> None:
    gate.freezing()
    gate.status("thawed")
    assert gate.frozen
