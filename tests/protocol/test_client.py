"""The host's side of a connection: both dialects, guests that restart, answer stale, refuse, or send anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.client import (
    ALREADY_NEGOTIATED,
    CUT_SHORT,
    UPGRADE,
    ClientConnection,
    ClientState,
    Connected,
    Garbled,
    NotReady,
    Received,
    Upgraded,
)
from guestmux_protocol.errors import JsonError
from guestmux_protocol.incoming import Answered, Incoming
from guestmux_protocol.json_text import decode
from guestmux_protocol.limits import Limits
from guestmux_protocol.messages import (
    ErrorReply,
    Event,
    Greeting,
    Reply,
    Request,
    encode_error,
    encode_event,
    encode_greeting,
    encode_reply,
)
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from tests.support.dialects import FRAGMENTS
from tests.support.json_values import OBJECTS, TEXTS, VALUES
from tests.support.three_ways import in_pieces, three_ways

SYNC_ID = 1000
GREETING = Greeting({"package": "guestmux-test"}, ["oob"])
HELLO = encode_greeting(GREETING)
EVENT = Event("SESSION_LOCK", {"seq": 1}, 2, 3)
EVENT_LINE = encode_event(EVENT)
TAIL: list[Received] = [EVENT]
NEGOTIATED = Connected("qmp", GREETING)
PING = encode_reply({}, "1000-1")


def sent(client: ClientConnection) -> list[Any]:
    """What the client sends now, decoded, without the 0xFF."""
    return [decode(line) for line in client.data_to_send().replace(b"\xff", b"").splitlines()]


def sync_reply(number: int = SYNC_ID + 1) -> bytes:
    return b"\xff" + encode_reply(number, f"sync-{number}")


def on_qga() -> ClientConnection:
    """A client that is ready on a qga port."""
    client = ClientConnection(SYNC_ID)
    assert client.receive(sync_reply()) == [Connected("qga", None)]
    client.data_to_send()
    return client


def on_qmp() -> ClientConnection:
    """A client that is ready on a qmp port."""
    client = ClientConnection(SYNC_ID)
    client.receive(HELLO)
    assert client.receive(encode_reply({}, "hello-1002")) == [NEGOTIATED]
    client.data_to_send()
    return client


def talk(client: ClientConnection, server: QgaDialect | QmpDialect) -> list[Received]:
    """Carry bytes between two ends until both are silent; every request is answered with its arguments."""
    received = client.receive(server.opened())
    while data := client.data_to_send():
        for incoming in server.receive(data):
            received += client.receive(_answer(server, incoming))
    return received


def _answer(server: QgaDialect | QmpDialect, incoming: Incoming) -> bytes:
    if isinstance(incoming, Answered):
        return incoming.data
    return server.reply(incoming, incoming.arguments.get("id", incoming.arguments))


def test_begins_with_a_reset_and_a_sync() -> None:
    assert ClientConnection(SYNC_ID).data_to_send() == (
        b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 1001}, "id": "sync-1001"}\n'
    )


def test_connects_to_a_qga_server() -> None:
    client = ClientConnection(SYNC_ID)
    assert talk(client, QgaDialect()) == [Connected("qga", None)]
    assert client.request("guest-ping", {}) == "1000-1"
    assert talk(client, QgaDialect()) == [Reply({}, "1000-1")]
    assert repr(client) == "<ClientConnection READY qga>"
    assert not client.concurrent


def test_a_question_that_was_lost_is_asked_again_until_somebody_says_something() -> None:
    client = ClientConnection(SYNC_ID)
    question = client.data_to_send()
    client.ask_again()
    client.ask_again()
    assert client.data_to_send() == 2 * question
    assert client.receive(sync_reply(1001)) == [Connected("qga", None)]
    client.ask_again()
    assert client.data_to_send() == b""
    # That of the second question is for nobody.
    assert client.receive(sync_reply(1001)) == [Reply(1001, "sync-1001")]


@pytest.mark.parametrize("greeted", [True, False])
def test_a_question_that_was_asked_twice_costs_a_qmp_server_nothing(greeted: bool) -> None:
    client, server = ClientConnection(SYNC_ID), QmpDialect()
    greeting = server.opened()
    client.ask_again()
    received = client.receive(greeting) if greeted else []
    while data := client.data_to_send():
        for incoming in server.receive(data):
            received += client.receive(_answer(server, incoming))
            client.ask_again()
    [connected] = [message for message in received if isinstance(message, Connected)]
    assert connected.dialect == "qmp"
    assert client.concurrent
    assert client.state is ClientState.READY


def test_connects_to_a_qmp_server_and_calls_concurrently() -> None:
    client, server = ClientConnection(SYNC_ID), QmpDialect()
    [connected] = talk(client, server)
    assert isinstance(connected, Connected)
    assert connected.dialect == "qmp"
    assert client.concurrent
    client.request("session-lock", {"session": "c2"})
    [request] = server.receive(client.data_to_send())
    assert request == Request("session-lock", {"session": "c2"}, "1000-1", oob=True)


def test_calls_in_order_where_the_server_cannot_do_otherwise() -> None:
    client = ClientConnection(SYNC_ID)
    client.receive(encode_greeting(Greeting({}, ["other"])))
    assert sent(client)[-1]["arguments"] == {"enable": []}
    client.receive(encode_reply({}, "hello-1002"))
    client.request("guest-ping", {})
    assert sent(client) == [{"execute": "guest-ping", "id": "1000-1"}]


def test_refuses_a_request_before_the_guest_answered() -> None:
    client = ClientConnection(SYNC_ID)
    with pytest.raises(NotReady, match="first word"):
        client.request("guest-ping", {})
    client.receive(HELLO)
    with pytest.raises(NotReady, match="negotiating"):
        client.request("guest-ping", {})


def test_a_request_that_is_no_json_leaves_nothing_behind() -> None:
    client = on_qga()
    with pytest.raises(JsonError):
        client.request("x", {"value": object()})
    assert client.data_to_send() == b""
    assert client.request("guest-ping", {}) == "1000-1"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PING, [Reply({}, "1000-1")]),
        (encode_error("GenericError", "no", "1000-1"), [ErrorReply("GenericError", "no", "1000-1")]),
        (EVENT_LINE, TAIL),
        (EVENT_LINE + PING, [EVENT, Reply({}, "1000-1")]),
        (b'{"return": "\\u00e9"}\r\n', [Reply("é")]),
        (b'{"return":\r 7}\n' + EVENT_LINE + b"\n\n", [Reply(7), EVENT]),
        (b"\xff" + PING, [Reply({}, "1000-1")]),
        (b'{"foo": 1}\n', [Garbled("neither a greeting nor a reply, an error or an event")]),
        (b"[]\n", [Garbled("a QMP server sends JSON objects only")]),
        (b'{"event": 1}\n', [Garbled("member 'timestamp' is missing or not of type dict")]),
    ],
)
def test_reads_messages_three_ways(data: bytes, expected: list[Received]) -> None:
    assert three_ways(lambda: on_qga().receive, data, EVENT_LINE, TAIL) == expected
    assert three_ways(lambda: on_qmp().receive, data, EVENT_LINE, TAIL) == expected


@pytest.mark.parametrize(
    ("data", "desc"),
    [
        (b"HELLO\n", "JSON parse error, stray 'H'"),
        (b"nonsense\n", "JSON parse error, invalid keyword 'nonsense'"),
        (b'{"a": 1, "a": 2}\n', "JSON parse error, duplicate key"),
        (b'{"return": [1, 2\n', CUT_SHORT),
        (b'{"return": [\n', CUT_SHORT),
    ],
)
def test_garbled_bytes_cost_one_line_three_ways(data: bytes, desc: str) -> None:
    expected: list[Received] = [Garbled(desc)]
    assert three_ways(lambda: on_qga().receive, data, EVENT_LINE, TAIL) == expected
    assert three_ways(lambda: on_qmp().receive, data, EVENT_LINE, TAIL) == expected


def test_what_a_line_cuts_off_is_not_finished_by_a_later_line() -> None:
    lines = EVENT_LINE + b'{"return": {"a": [\n' + EVENT_LINE + b"]}}\n" + EVENT_LINE
    whole, pieces = on_qmp(), on_qmp()
    received = whole.receive(lines)
    assert [item for item in received if not isinstance(item, Garbled)] == [EVENT, EVENT, EVENT]
    assert in_pieces(pieces.receive, lines, 1) == received


def test_a_message_over_a_limit_is_skipped() -> None:
    client = ClientConnection(SYNC_ID, Limits(message_bytes=100))
    client.receive(sync_reply())
    long = encode_reply("x" * 200, "1000-1")
    [garbled, event] = client.receive(long + EVENT_LINE)
    assert isinstance(garbled, Garbled)
    assert event == EVENT


@pytest.mark.parametrize(
    "stale",
    [
        encode_reply({}, "999-7"),
        encode_reply(17),
        encode_reply(7, ["sync-1001"]),
        sync_reply(900),
        EVENT_LINE,
        encode_error("GenericError", "JSON parse error, stray '\ufffd'"),
        b"half a rep\n",
    ],
)
def test_passes_over_what_is_for_an_earlier_host(stale: bytes) -> None:
    client = ClientConnection(SYNC_ID)
    received = client.receive(stale + sync_reply())
    assert [item for item in received if not isinstance(item, Garbled)] == [Connected("qga", None)]


def test_a_greeting_after_ready_tells_of_a_restart() -> None:
    client = on_qmp()
    client.request("guest-ping", {})
    client.data_to_send()
    newer = Greeting({"package": "newer"}, ["oob"])
    assert client.receive(encode_greeting(newer)) == []
    assert client.state is ClientState.NEGOTIATING
    assert client.receive(PING) == [], "it can only be for another host"
    [request] = sent(client)
    assert client.receive(encode_reply({}, request["id"])) == [Connected("qmp", newer, again=True)]
    assert client.request("guest-ping", {}) == "1000-2", "ids are never used again"


def test_a_greeting_glued_to_half_a_message_tells_of_a_restart() -> None:
    client = on_qmp()
    [garbled] = client.receive(b'{"return": {"a": "cut of' + HELLO)
    assert isinstance(garbled, Garbled)
    assert client.state is ClientState.CHECKING
    [request] = sent(client)
    assert request["execute"] == "qmp_capabilities"
    assert client.receive(encode_reply({}, request["id"])) == [Connected("qmp", GREETING, again=True)]


def test_garbled_bytes_from_a_qmp_guest_that_did_not_restart_cost_nothing_else() -> None:
    client = on_qmp()
    client.request("guest-ping", {})
    client.data_to_send()
    client.receive(b"!!!\n")
    with pytest.raises(NotReady):
        client.request("guest-ping", {})
    assert client.receive(PING + EVENT_LINE) == [Reply({}, "1000-1"), EVENT]
    [request] = sent(client)
    refusal = encode_error("CommandNotFound", "Capabilities negotiation is already complete", request["id"])
    assert client.receive(refusal) == [Connected("qmp", GREETING)]
    assert client.concurrent


def test_a_guest_that_takes_us_for_the_host_before_us_is_not_asked_concurrently() -> None:
    client, server = ClientConnection(SYNC_ID), QmpDialect()
    server.receive(b'{"execute": "qmp_capabilities"}')  # by the other, without "oob"
    [connected] = talk(client, server)
    assert isinstance(connected, Connected)
    assert not client.concurrent


def test_one_question_for_any_amount_of_garbage() -> None:
    client = on_qmp()
    client.receive(b"!!!\n" * 100)
    assert len(sent(client)) == 1


def test_garbled_bytes_from_a_qga_guest_lead_to_a_new_sync() -> None:
    client = on_qga()
    client.receive(b'{"return": [\n')
    assert client.data_to_send().startswith(
        b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 1002}'
    )
    assert client.receive(PING + sync_reply(1002)) == [
        Reply({}, "1000-1"),
        Connected("qga", None, again=True),
    ]


def test_negotiates_without_the_greeting_that_was_lost() -> None:
    client, server = ClientConnection(SYNC_ID), QmpDialect()
    server.opened()
    received: list[Received] = []
    while data := client.data_to_send():
        for incoming in server.receive(data):
            received += client.receive(_answer(server, incoming))
    assert received == [Connected("qmp", None)]
    assert client.concurrent


def test_negotiates_without_oob_when_that_is_refused() -> None:
    client = ClientConnection(SYNC_ID)
    client.receive(HELLO)
    client.data_to_send()
    client.receive(encode_error("GenericError", "no oob here", "hello-1002"))
    [request] = sent(client)
    assert request["arguments"] == {"enable": []}
    assert client.receive(encode_reply({}, request["id"])) == [NEGOTIATED]
    assert not client.concurrent


def test_a_guest_that_refuses_everything_is_not_asked_for_ever() -> None:
    client = ClientConnection(SYNC_ID)
    client.receive(HELLO)
    client.receive(encode_error("GenericError", "no", "hello-1002"))
    client.data_to_send()
    assert client.receive(encode_error("GenericError", "no", "hello-1003")) == []
    assert client.data_to_send() == b""


def test_a_sync_that_fails_is_no_greeting() -> None:
    client = ClientConnection(SYNC_ID)
    client.data_to_send()
    assert client.receive(encode_error("GenericError", "busy", "sync-1001")) == []
    assert client.data_to_send() == b""


_SENT = st.one_of(
    st.builds(encode_reply, VALUES, TEXTS | st.sampled_from(["sync-1001", "hello-1002", "1000-1"])),
    st.builds(encode_error, TEXTS, TEXTS, TEXTS | st.sampled_from(["sync-1001", "hello-1002", "1000-1"])),
    st.builds(encode_event, st.builds(Event, TEXTS, OBJECTS, st.integers(), st.integers())),
    st.just(HELLO),
    st.binary(max_size=8),
    FRAGMENTS,
)


@given(st.lists(_SENT, max_size=12).map(b"".join), st.sampled_from([ClientConnection, on_qga, on_qmp]))
def test_nothing_but_messages_comes_of_any_bytes(data: bytes, make: Any) -> None:
    """Fuzz: no exception leaves the parser, however its input is cut; and it never asks more than it was told."""
    whole, pieces = (make(SYNC_ID) if make is ClientConnection else make() for _ in range(2))
    received = whole.receive(data)
    assert all(isinstance(item, Received) for item in received)
    assert in_pieces(pieces.receive, data, 1) == received
    assert len(whole.data_to_send().splitlines()) <= data.count(b"\n") + data.count(b"}") + 2


AGREED = encode_reply({"version": 1}, "mux-1003")
FRAMES = b"\x96\x00\x01\n{"


def asked_for_mux() -> ClientConnection:
    """A client that has asked a qmp guest to go over to mux."""
    client = ClientConnection(SYNC_ID, mux=True)
    client.receive(HELLO)
    client.data_to_send()
    assert client.receive(encode_reply({}, "hello-1002")) == []
    assert sent(client) == [{"execute": UPGRADE, "arguments": {"version": 1}, "id": "mux-1003"}]
    assert client.state is ClientState.UPGRADING
    return client


@pytest.mark.parametrize("cut", range(len(AGREED + FRAMES) + 1))
def test_what_follows_the_guests_consent_is_not_json(cut: int) -> None:
    client, rest = asked_for_mux(), b""
    received: list[Received] = []
    for piece in ((AGREED + FRAMES)[:cut], (AGREED + FRAMES)[cut:]):
        if client.state is ClientState.MUX:
            rest += piece
        else:
            received += client.receive(piece)
    (upgraded,) = received
    assert isinstance(upgraded, Upgraded)
    assert (upgraded.greeting, upgraded.again, upgraded.rest + rest) == (GREETING, False, FRAMES)
    assert client.state is ClientState.MUX


@pytest.mark.parametrize(
    "refusal",
    [
        encode_error("CommandNotFound", "no", "mux-1003"),
        encode_error("GenericError", "no", "mux-1003"),
        encode_reply({}, "mux-1003"),
        encode_reply([1], "mux-1003"),
        encode_reply({"version": 2}, "mux-1003"),
    ],
)
def test_a_guest_without_mux_stays_as_it_is(refusal: bytes) -> None:
    client = asked_for_mux()
    assert client.receive(EVENT_LINE + PING + refusal + EVENT_LINE) == [NEGOTIATED, EVENT]
    assert client.request("guest-ping", {}) == "1000-1"
    client.data_to_send()
    # What is garbled is looked into; it is no reason to ask once more.
    assert isinstance(client.receive(b"]\n")[0], Garbled)
    (check,) = sent(client)
    already = encode_error("CommandNotFound", f"{ALREADY_NEGOTIATED}, command ignored", check["id"])
    assert client.receive(already) == [NEGOTIATED]


def test_a_guest_that_restarts_is_asked_again() -> None:
    client = asked_for_mux()
    client.receive(encode_error("CommandNotFound", "no", "mux-1003"))
    client.receive(HELLO)
    (hello,) = sent(client)
    assert client.receive(encode_reply({}, hello["id"])) == []
    (upgrade,) = sent(client)
    assert client.receive(encode_reply({"version": 1}, upgrade["id"]) + FRAMES) == [
        Upgraded(GREETING, again=True, rest=FRAMES)
    ]


def test_a_guest_that_restarts_instead_of_answering_is_negotiated_with() -> None:
    client = asked_for_mux()
    assert client.receive(HELLO) == []
    (hello,) = sent(client)
    assert hello["execute"] == "qmp_capabilities"
    assert client.receive(AGREED) == []
    assert client.state is ClientState.NEGOTIATING


def test_a_qga_guest_is_not_asked_for_mux() -> None:
    client = ClientConnection(SYNC_ID, mux=True)
    assert client.receive(sync_reply()) == [Connected("qga", None)]
