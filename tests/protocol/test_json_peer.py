"""The framer and the decoder beside a real qemu-ga: the same values, and the same words for what is wrong."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from guestmux_protocol.errors import FramingError, JsonError
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.json_text import decode

QEMU_GA = shutil.which("qemu-ga", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")

NOT_AN_OBJECT = "QMP input must be a JSON object"


class Peer:
    """One connection to qemu-ga."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sync = 0

    def ask(self, data: bytes) -> list[Any]:
        """The replies to data and to the reset after it, without the reset's own "stray" when nothing was open."""
        self._sync += 1
        sync = {"execute": "guest-sync-delimited", "arguments": {"id": self._sync}}
        self._connection.sendall(data + b"\xff" + json.dumps(sync).encode() + b"\n")
        end = b'\xff{"return": %d}\n' % self._sync
        received = b""
        while not received.endswith(end):
            received += self._connection.recv(65_536)
        return [json.loads(line) for line in received.removesuffix(end).splitlines()]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A qemu-ga that is handed a socket already listening, as systemd does it, so nobody waits for it to start."""
    directory = tmp_path_factory.mktemp("ga")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(str(directory / "socket"))
        listener.listen()
        connection.connect(str(directory / "socket"))
        connection.settimeout(10)
        hand_over = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" -m unix-listen -t "$1"'
        command = ["bash", "-c", hand_over, str(QEMU_GA), str(directory)]
        with subprocess.Popen(command, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL) as process:
            yield Peer(connection)
            process.kill()


def answer(item: bytes | FramingError) -> Any:
    """What a server built on the framer and the decoder says to one item: an error's text, or a ping's reply."""
    if isinstance(item, FramingError):
        return item.desc
    try:
        value = decode(item)
    except JsonError as error:
        return error.desc
    return {"return": {}, "id": value["id"]} if isinstance(value, dict) else NOT_AN_OBJECT


def ours(data: bytes) -> tuple[list[Any], list[Any]]:
    """What we say to data, and to the reset byte after it."""
    framer = JsonFramer()
    return [answer(item) for item in framer.feed(data)], [answer(item) for item in framer.feed(b"\xff")]


def texts(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if "error" in reply:
            assert reply["error"]["class"] == "GenericError"
    return [reply["error"]["desc"] if "error" in reply else reply for reply in replies]


def parse_errors(*ends: str) -> list[str]:
    return [f"JSON parse error, {end}" for end in ends]


RESET = parse_errors("stray '�'")


def ping(identity: bytes) -> bytes:
    return b'{"execute": "guest-ping", "id": ' + identity + b"}"


@pytest.mark.parametrize(
    "identity",
    [
        b"0",
        b"-0",
        b"-9223372036854775808",
        b"9223372036854775808",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-9223372036854775809",
        b"1.5e3",
        b"0.1",
        b"1E+2",
        b"-0.0",
        b"1e-320",
        b"123456789012345678901234567890.5",
        b"null",
        b"[true, false, {}]",
        b"'single \" \\' quoted'",
        b'"\\\' \\" \\\\ \\/ \\b \\f \\n \\r \\t"',
        b'"\\u0000 \xc0\x80 \x7f \xc3\xa9 \\u00e9 \\ud83d\\ude00 \xf0\x9f\x98\x80"',
        b"[" * 500 + b"]" * 500,
    ],
)
def test_a_value_is_the_same(peer: Peer, identity: bytes) -> None:
    mine, reset = ours(ping(identity))
    assert reset == []
    assert texts(peer.ask(ping(identity))) == mine + RESET


FAULTS = [
    ping(b"1") + ping(b"2"), ping(b"1") + b"\n\r\n\t " + ping(b"2"), b"", b"5\n", b"hello\n",
    b"}", b"]", b",", b":", b"HELLO WORLD\n", b"HELLO WORLD" + ping(b"1"), b'"abc"', b"'abc'",
    b"[]", b"null\n", b"[[[[]]]]", b"\x00", b"\x01", b"\xc3\n", b"%\n", b'{"a" 1}', b'{"a"}',
    b'{"a":1 "b":2}', b'{"a":1:2}', b'{"a":1,}', b'{"a":}', b"{1:2}", b"{{}:1}", b"{null:1}", b"{,}",
    b"{:}", b"{]", b"[}", b'{"a":1]', b"[1 2]", b"[1}", b"[1,]", b"[,]", b"[:]", b"{hello:1}", b"[hello]",
    b'{"a":1,"a":2}', b'{"a":{"b":1,"b":2}}', b'[{"b":1},{"b":1}]', b'{"a":":","a":":"}',
    b'{"a":1,"\\u0061":2}', b'{"a":-}', b'{"a":1.}', b'{"a":1e}', b'{"a":1e+}', b'{"a":nan}', b'{"a":1a}',
    b'{"a":1"b"}', b'{"a":truefalse}', b'["\\x"]', b'["\\u12"]', b'["\\u12zz"]', b'["\\u"]', b'["\\ud800"]',
    b'["\\ud800\\u0041"]', b'["\\udc00"]', b'["\\ud83d\\ud83d\\ude00"]', b'["\\ud83d\\x"]', b'["\x80"]',
    b'["\xc3"]', b'["\xed\xa0\x80"]', b'["\xf4\x90\x80\x80"]', b'["\xe0\x80\x80"]', b'["\xc3\\x"]',
    b'["\\x\xc3"]', b'{"execute":"guest-pi', b'{"a":"caf\xc3\xa9', b'{"a":"\\', b'{"a": tru', b'{"a": ',
    b"{", b"[[[]", b"'", b'"', b'{"a":"x\n', b'{"a":"x\x00', b'{"a":"x\x01', b'{"a":\x00', b'{"a":\x01',
    b'{"a":"x\x1b' + ping(b"3"), b'{"execute":"guest-pi\n' + ping(b"1"),
]  # fmt: skip


@pytest.mark.parametrize("data", FAULTS)
def test_a_fault_has_the_same_words(peer: Peer, data: bytes) -> None:
    mine, reset = ours(data)
    assert texts(peer.ask(data)) == mine + (reset or RESET)


@pytest.mark.parametrize("data", [b"5", b"hello"])
def test_a_reset_ends_a_scalar_as_white_space_does(peer: Peer, data: bytes) -> None:
    assert ours(data) == ([], texts(peer.ask(data)[:-1]))


@pytest.mark.parametrize(
    ("data", "theirs", "mine"),
    [
        # A fault within a value is one error: the rest of the value is skipped.
        (b'{"a":01}', parse_errors("stray '01'", "expecting value"), parse_errors("stray '01'")),
        (b'{"a":1.e5}', parse_errors("stray '1.e'", "expecting value"), parse_errors("stray '1.e'")),
        (b'{"a":-Infinity}', parse_errors("stray '-I'", "expecting value"), parse_errors("stray '-I'")),
        (b'["\xfe"]', parse_errors("stray '\"�'", "expecting value"), parse_errors("stray '\"�'")),
        (
            b"{A:1}",
            [*parse_errors("stray 'A'", "expecting value"), NOT_AN_OBJECT, *parse_errors("expecting value")],
            parse_errors("stray 'A'"),
        ),
        # So is a line of garbage, and a run of what closes nothing.
        (b"5 6\n", [NOT_AN_OBJECT, NOT_AN_OBJECT], [NOT_AN_OBJECT]),
        (
            b"hello world\n",
            parse_errors("invalid keyword 'hello'", "invalid keyword 'world'"),
            parse_errors("invalid keyword 'hello'"),
        ),
        (b"}}}", parse_errors(*["expecting value"] * 3), parse_errors("expecting value")),
        (b"\x01\x02", parse_errors("stray '\x01'", "stray '\x02'"), parse_errors("stray '\x01'")),
        # A reset with nothing half received is what it is for, and no error.
        (b"\xff\xff", RESET * 2, []),
        # A value too deep is one error wherever it ends.
        (
            b"[" * 1025 + b"]" * 1025,
            ["JSON nesting depth limit exceeded", *parse_errors(*["expecting value"] * 1025)],
            ["JSON nesting depth limit exceeded"],
        ),
        # JSON that QEMU refuses: a zero with an exponent, Unicode's noncharacters.
        (ping(b"0e5"), parse_errors("expected separator in dict"), [{"return": {}, "id": 0.0}]),
        (
            ping(b'"\\uffff"'),
            parse_errors("\\uffff is not a valid Unicode character"),
            [{"return": {}, "id": "\uffff"}],
        ),
        (
            ping(b'"\xef\xbf\xbf"'),
            parse_errors("invalid UTF-8 sequence in string"),
            [{"return": {}, "id": "\uffff"}],
        ),
    ],
)
def test_where_we_differ_on_purpose(peer: Peer, data: bytes, theirs: list[Any], mine: list[Any]) -> None:
    assert texts(peer.ask(data)) == theirs + RESET
    assert ours(data) == (mine, [])


def test_a_large_value_is_the_same(peer: Peer) -> None:
    identity = b'"' + b"x" * (1 << 20) + b'"'
    assert texts(peer.ask(ping(identity))) == ours(ping(identity))[0] + RESET
