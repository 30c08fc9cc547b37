"""What can be said of vsocks without having one: who is let in, and what each failure means."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from guestmux_protocol.addresses import VSOCK_PEERS, Vsock
from guestmux_transport.dial import dial
from guestmux_transport.pipe_errors import NotFoundError, OpenError, RefusedError
from guestmux_transport.vsock_socket import dial_vsock, vsock_refusal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("cid", "admitted", "enters"),
    [
        (2, VSOCK_PEERS, True),
        (1, VSOCK_PEERS, False),
        (3, VSOCK_PEERS, False),
        (2, (1, 5), False),
        (5, (1, 5), True),
    ],
)
def test_only_the_host_is_let_in_unless_others_are_named(
    cid: int, admitted: tuple[int, ...], enters: bool
) -> None:
    refusal = vsock_refusal((cid, 99), admitted)
    assert bool(refusal) is not enters
    assert enters or f"{cid}:99" in refusal


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENODEV, NotFoundError, "no machine with that context id"),
        (errno.ECONNRESET, RefusedError, "nobody listens at that port"),
        (errno.ETIMEDOUT, OpenError, "no answer"),
        (errno.EMFILE, OpenError, "Too many open files"),
    ],
)
async def test_what_the_kernel_says_to_a_host_is_explained(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OpenError], text: str
) -> None:
    async def fail(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)
    with pytest.raises(kind, match=f"^vsock:7:1234: .*{text}"):
        await dial(Vsock(7, 1234))


async def test_a_kernel_without_vsock_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(NotFoundError, match="this kernel has no vsock"):
        await dial(Vsock(7, 1234))


async def test_a_machine_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", lambda *_: asyncio.Event().wait())
    with pytest.raises(OpenError, match="no answer; is the machine up"):
        await dial_vsock(Vsock(7, 1234), patience=0.01)
