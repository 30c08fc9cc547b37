"""The kernel's lists, asked for on a real socket, and answers that are none."""

from __future__ import annotations

import socket
from typing import cast

import pytest

from guestmux_protocol.rtnetlink import Message, messages
from guestmux_protocol.rtnetlink import links as links_of
from guestmux_transport import rtnetlink
from tests.support.netlink_messages import DONE, link, message


class Asked:
    """A socket with these datagrams; the last one comes again and again."""

    def __init__(self, *answers: tuple[bytes, int]) -> None:
        self.answers = list(answers)

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        data, sender = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return data, (sender, 0)


def answers(asked: Asked) -> list[Message]:
    return list(rtnetlink._answers(cast("socket.socket", asked)))


def test_this_machines_interfaces() -> None:
    indexes = {name: index for index, name in socket.if_nameindex()}
    links = rtnetlink.links()
    assert {link.name: link.index for link in links} == indexes
    assert {address.index for address in rtnetlink.addresses()} <= set(indexes.values())


def test_an_error_of_the_kernel_is_raised() -> None:
    refusal = message(2, (-95).to_bytes(4, "little", signed=True))
    with pytest.raises(OSError, match=r"^\[Errno 95\] the kernel answered with error 95$"):
        answers(Asked((refusal, 0)))


@pytest.mark.parametrize(("broken", "asked"), [(0, 1), (2, 3), (9, rtnetlink.MAX_ATTEMPTS)])
def test_a_list_that_changed_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, broken: int, asked: int
) -> None:
    dumps = [message(DONE, bytes(4), flags=2 | (0x10 if number < broken else 0)) for number in range(asked)]
    given = iter(dumps)
    monkeypatch.setattr(rtnetlink, "_ask", lambda _wanted: list(messages(next(given))))
    assert rtnetlink.links() == []
    assert list(given) == []


def test_only_the_kernel_is_believed() -> None:
    asked = Asked((link(1, "forged"), 4711), (link(2, "lo"), 0), (message(DONE, bytes(4)), 0))
    assert [each.name for each in links_of(answers(asked))] == ["lo"]


def test_a_kernel_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtnetlink, "MAX_DUMP", 1000)
    assert len(answers(Asked((link(2, "lo"), 0)))) * len(link(2, "lo")) in range(1000, 1100)
