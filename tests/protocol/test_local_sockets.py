"""Names of sockets in the guest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.addresses import AddressError
from guestmux_protocol.local_sockets import LOCALHOST, LocalSocket, LocalTcp, LocalUnix, parse_local_socket


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("unix:/run/x:y", LocalUnix("/run/x:y")),
        ("unix:@/tmp/.X11-unix/X0", LocalUnix("@/tmp/.X11-unix/X0")),
        ("unix:/" + "x" * 106, LocalUnix("/" + "x" * 106)),
        ("tcp:22", LocalTcp(LOCALHOST, 22)),
        ("tcp:localhost:65535", LocalTcp(LOCALHOST, 65535)),
        ("tcp:127.0.0.1:1", LocalTcp(("127.0.0.1",), 1)),
        ("tcp:127.8.9.10:1", LocalTcp(("127.8.9.10",), 1)),
        ("tcp:[::1]:80", LocalTcp(("::1",), 80)),
    ],
)
def test_accepted_forms(text: str, parsed: LocalSocket) -> None:
    assert parse_local_socket(text) == parsed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "accepted are unix:/PATH"),
        ("udp:5", "accepted are"),
        ("/run/x", "accepted are"),
        ("unix:", "full path"),
        ("unix:run/x", "full path"),
        ("unix:/", "full path"),
        ("unix:@", "full path"),
        ("unix:/a\0b", "full path"),
        ("unix:/\ud800", "half a character"),
        ("unix:/" + "é" * 54, "at most 107 bytes"),
        ("tcp:", "a port from 1"),
        ("tcp:0", "a port from 1"),
        ("tcp:65536", "a port from 1"),
        ("tcp:²", "a port from 1"),
        ("tcp:-1", "a port from 1"),
        ("tcp:000022", "a port from 1"),
        ("tcp:0.0.0.0:22", "only the loopback"),
        ("tcp:10.0.0.1:22", "only the loopback"),
        ("tcp:127.1:22", "only the loopback"),
        ("tcp:example.org:22", "only the loopback"),
        ("tcp:localhost.:22", "only the loopback"),
        ("tcp:::1:22", "only the loopback"),
        ("tcp:[::]:22", "only the loopback"),
        ("tcp:[::ffff:10.0.0.1]:22", "only the loopback"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(AddressError, match=said):
        parse_local_socket(text)


def test_a_long_one_is_not_repeated() -> None:
    with pytest.raises(AddressError) as caught:
        parse_local_socket("x" * 1_000_000)
    assert len(str(caught.value)) < 400


def test_addresses_as_the_kernel_takes_them() -> None:
    assert LocalUnix("/run/x").address == "/run/x"
    assert LocalUnix("@x").address == "\0x"


@given(st.text())
def test_nothing_else_escapes(text: str) -> None:
    for kind in ("", "unix:", "tcp:"):
        try:
            parse_local_socket(kind + text)
        except AddressError:
            continue
