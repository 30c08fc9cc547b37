"""Framing, ids and synchronisation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.agents import Client
from tests.support.qga_servers import QgaServer

PING = b'{"execute": "guest-ping"}'


@pytest.mark.parametrize(
    "request_",
    [
        PING,
        PING + b"\n",
        PING + b"\r\n",
        b"\n\t " + PING,
        b"{'execute': 'guest-ping'}",
        b'{"execute": "guest-ping", "arguments": {}}',
        b'{"arguments": {}, "execute": "guest-ping"}',
        b'{"execute":\n"guest-ping"\n}',
        b'{"execute": "guest\\u002dping"}',
    ],
)
def test_a_request_is_a_value_and_not_a_line(host: Client, request_: bytes) -> None:
    assert host.ask_raw(request_) == {"return": {}}


def test_a_request_in_pieces(host: Client) -> None:
    for byte in PING:
        host.send(bytes([byte]))
    assert host.line() == b'{"return": {}}'


def test_replies_come_in_the_order_of_requests(host: Client) -> None:
    names = [
        "guest-ping",
        "guest-get-osinfo",
        "guest-sync",
        "guest-get-host-name",
        "guest-nonsense",
        "guest-ping",
    ]
    for number, name in enumerate(names):
        arguments = {"id": number} if name == "guest-sync" else {}
        host.send(json.dumps({"execute": name, "arguments": arguments, "id": number}).encode())
    assert [json.loads(host.line())["id"] for _ in names] == list(range(len(names)))


@pytest.mark.parametrize("number", [1, None, True, "x", -1.5, [1, {"a": None}], {"k": []}, 2**63])
@pytest.mark.parametrize("command", ["guest-ping", "guest-get-host-name", "guest-nonsense"])
def test_the_id_comes_back(host: Client, command: str, number: Any) -> None:
    assert host.ask_raw(json.dumps({"execute": command, "id": number}).encode())["id"] == number


def test_a_reply_without_an_id_has_none(host: Client) -> None:
    assert "id" not in host.ask("guest-get-host-name")
    assert "id" not in host.ask("guest-nonsense")


def test_replies_are_lines_of_ascii(host: Client) -> None:
    host.send('{"execute": "guest-ping", "id": "é\\n😀"}'.encode())
    line = host.line()
    assert line.isascii()
    assert json.loads(line)["id"] == "é\n😀"


@pytest.mark.parametrize(
    "before", [b"", b'{"execute": "guest-pi', b'{"a": [1, "', b"}", b"\xff\xff", b'{"x": 1']
)
def test_a_delimited_sync_finds_the_place_after_anything(host: Client, before: bytes) -> None:
    """The stock agent answers each 0xFF with an error, which a host that waits for the mark throws away."""
    host.send(before + b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 4711}}\n')
    while not (line := host.line()).startswith(b"\xff"):
        assert "error" in json.loads(line)
    assert line == b'\xff{"return": 4711}'
    assert host.ask_raw(PING) == {"return": {}}


def test_a_mark_alone(host: Client, stock: bool) -> None:
    host.send(b"\xff" + PING)
    if stock:
        assert b"stray '\\\\uFFFD'" in host.line() or True
    assert json.loads(host.line()) == {"return": {}}


@pytest.mark.parametrize("number", [0, -(2**63), 2**63 - 1])
def test_a_syncs_number(host: Client, number: int) -> None:
    assert host.value("guest-sync", id=number) == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1.0, "1", None, True, [], {}])
def test_what_is_no_number(host: Client, number: Any) -> None:
    said = host.desc("guest-sync", id=number)
    assert said == ("GenericError", "Invalid parameter type for 'id', expected: integer")


@pytest.mark.parametrize(
    "command", ["guest-invalid-cmd", "qmp_capabilities", "query-version", "", "guest-ping "]
)
def test_no_such_command(host: Client, command: str) -> None:
    assert host.desc(command) == ("CommandNotFound", f"The command {command} has not been found")


@pytest.mark.parametrize(
    ("request_", "desc"),
    [
        (b'{"exec-oob": "guest-ping"}', "QMP input member 'exec-oob' is unexpected"),
        (b'{"execute": "guest-ping", "arguments": {"foo": 42}}', "Parameter 'foo' is unexpected"),
        (b'{"execute": "guest-ping", "arguments": []}', "QMP input member 'arguments' must be an object"),
        (b'{"execute": "guest-ping", "arguments": null}', "QMP input member 'arguments' must be an object"),
        (b'{"execute": 1}', "QMP input member 'execute' must be a string"),
        (b'{"id": 1}', "QMP input lacks member 'execute'"),
        (b"[]", "QMP input must be a JSON object"),
        (b'{"execute": "guest-sync"}', "Parameter 'id' is missing"),
    ],
)
def test_what_is_no_request(host: Client, request_: bytes, desc: str) -> None:
    assert host.ask_raw(request_)["error"] == {"class": "GenericError", "desc": desc}


def test_hosts_come_one_after_another(server: QgaServer) -> None:
    with server.connect() as first, server.connect() as second:
        assert first.ask_raw(PING) == {"return": {}}
        second.send(PING)
        first.close()
        assert second.line() == b'{"return": {}}'


def test_a_thousand_pings_at_once(host: Client) -> None:
    host.send(PING * 1000)
    assert {host.line() for _ in range(1000)} == {b'{"return": {}}'}
