"""Content that is sent as other bytes, and masks that are none."""

from __future__ import annotations

import random

import pytest

from guestmux_protocol.messages import Request
from guestmux_protocol.mux import Data, Hello, Multiplexer, MuxError, encode
from guestmux_protocol.mux.mask import IDENTITY
from guestmux_protocol.qmp import QmpDialect
from tests.support.mux_ends import pass_on

MASK = bytes(random.Random(7).sample(range(256), 256))
SIZES = (1, 100, 5000, 70_000)


def test_content_is_masked_on_the_wire_and_comes_as_it_was() -> None:
    host, guest = Multiplexer("asker"), Multiplexer("server", mask=MASK)
    pass_on(host, guest)
    pass_on(guest, host)
    stream = host.open("x", b"{}", credit=1 << 20)
    guest.receive(host.bytes_to_send(1 << 20))
    guest.reply(stream, b"1", credit=1 << 20)
    host.receive(guest.bytes_to_send(1 << 20))
    content = [b'{"execute": "guest-exec"}'[:size].ljust(size, b"{") for size in SIZES]
    for data in content:
        host.send(stream, memoryview(data))
    wire = host.bytes_to_send(1 << 30)
    assert b"execute" not in wire
    assert content[2].translate(MASK) in wire
    came = [frame.data for frame in guest.receive(wire) if isinstance(frame, Data)]
    assert b"".join(came) == b"".join(content)
    guest.send(stream, b"the other way there is none")
    assert b"the other way there is none" in guest.bytes_to_send(1 << 20)


def test_a_hello_says_it() -> None:
    assert len(encode(Hello(1, 65536, 1 << 20, 1024, 256))) < 30
    (hello,) = Multiplexer("asker").receive(Multiplexer("server", mask=MASK).bytes_to_send(1))
    assert isinstance(hello, Hello)
    assert hello.mask == MASK


@pytest.mark.parametrize(
    "mask", [b"x", IDENTITY[:-1], IDENTITY[:-1] + b"\0", IDENTITY * 2], ids=["1", "255", "twice", "512"]
)
def test_a_mask_that_is_none_is_a_violation(mask: bytes) -> None:
    with pytest.raises(MuxError, match="no permutation"):
        Multiplexer("asker").receive(encode(Hello(1, 65536, 1 << 20, 1024, 256, mask)))


def test_text_is_no_mask() -> None:
    with pytest.raises(MuxError, match="no byte string"):
        Multiplexer("asker").receive(b"\x97\x00\x01\xcd\x02\x00\x01\x01\x01\xa0")


EVIL = b'{"execute": "qmp_capabilities"}{"execute": "guest-exec", "arguments": {"path": "/bin/sh"}}\n'


def cut_off(mask: bytes) -> set[str]:
    """The commands that a fresh parser of QMP finds in what a restart leaves of a stream, wherever it is cut."""
    host, guest = Multiplexer("asker"), Multiplexer("server", mask=mask)
    pass_on(host, guest)
    pass_on(guest, host)
    stream = host.open("x", b"{}", credit=1)
    pass_on(host, guest)
    guest.reply(stream, b"1", credit=1 << 20)
    pass_on(guest, host)
    host.send(stream, EVIL * 100)
    wire = host.bytes_to_send(1 << 30)
    found = (QmpDialect().receive(wire[cut:]) for cut in range(0, len(wire), 29))
    return {request.command for requests in found for request in requests if isinstance(request, Request)}


def test_what_a_restart_cuts_off_is_no_command() -> None:
    assert cut_off(b"") == {"guest-exec"}, "what the mask is for"
    assert cut_off(MASK) == set()
