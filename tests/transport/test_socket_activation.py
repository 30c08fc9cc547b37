"""Descriptors by name, as systemd says in the environment."""

from __future__ import annotations

import os

import pytest

from guestmux_transport.socket_activation import passed_fds

OURS = {"LISTEN_PID": str(os.getpid())}


@pytest.mark.parametrize(
    ("environment", "passed"),
    [
        ({}, []),
        ({"LISTEN_FDS": "1"}, []),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, []),
        ({**OURS, "LISTEN_FDS": "many"}, []),
        ({**OURS, "LISTEN_FDS": "0"}, []),
        ({**OURS, "LISTEN_FDS": "2"}, [("", 3), ("", 4)]),
        ({**OURS, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}, [("a", 3), ("b", 4)]),
        ({**OURS, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"}, [("a", 3)]),
    ],
)
def test_what_was_passed(environment: dict[str, str], passed: list[tuple[str, int]]) -> None:
    assert passed_fds(environment) == passed


def test_what_is_meant_for_another_process() -> None:
    assert passed_fds({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, process=7) == [("", 3)]
