"""Requests beside a real qemu-ga: the same error classes and the same words, or the same reply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from guestmux_protocol.commands import NATIVE
from guestmux_protocol.incoming import Answered
from guestmux_protocol.json_text import decode
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR, Request, encode_error, encode_reply
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.registry import Arguments, Command, command
from guestmux_protocol.schema import InvalidParameter
from tests.support.qemu_ga import QEMU_GA, QemuGa, qemu_ga

pytestmark = pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")

# Some of qemu-ga's own commands, as in qga/qapi-schema.json, for types that no native command takes. Each case of
# theirs is wrong, so that qemu-ga runs none of them.
BORROWED: dict[str, Command] = {}


class LogicalProcessor(Arguments, frozen=True):
    """GuestLogicalProcessor."""

    logical_id: int
    online: bool
    can_offline: bool = False


@command(BORROWED, "guest-set-vcpus", returns=int)
class SetVcpus(Arguments, frozen=True):
    vcpus: list[LogicalProcessor]


@command(BORROWED, "guest-file-seek", returns=dict)
class FileSeek(Arguments, frozen=True):
    handle: int
    offset: int
    whence: int | Literal["set", "cur", "end"]


@command(BORROWED, "guest-exec", returns=dict)
class Exec(Arguments, frozen=True):
    path: str
    arg: list[str] = []
    capture_output: bool = False


COMMANDS = {**NATIVE, **BORROWED}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QemuGa]:
    with qemu_ga(tmp_path_factory.mktemp("ga")) as connected:
        yield connected


def answer(request: bytes) -> Any:
    """What a qga port answers, as far as the protocol decides it; a sync's and a ping's reply is known as well."""
    [incoming] = QgaDialect().receive(request)
    return json.loads(incoming.data if isinstance(incoming, Answered) else run(incoming))


def run(request: Request) -> bytes:
    described = COMMANDS.get(request.command)
    if described is None:
        desc = f"The command {request.command} has not been found"
        return encode_error(COMMAND_NOT_FOUND, desc, request.id)
    try:
        arguments = described.parse(request.arguments)
    except InvalidParameter as error:
        return encode_error(GENERIC_ERROR, str(error), request.id)
    return encode_reply(getattr(arguments, "id", {}), request.id)


def request(name: str, arguments: str) -> bytes:
    return f'{{"execute": "{name}", "arguments": {arguments}, "id": 7}}'.encode()


SYNC = "guest-sync"
VCPU = '{"logical-id": 0, "online": true}'


@pytest.mark.parametrize(
    "arguments",
    [
        *('{"id": 0}', '{"id": -9223372036854775808}', '{"id": 9223372036854775807}'),
        *('{"id": 9223372036854775808}', '{"id": -9223372036854775809}', '{"id": 18446744073709551616}'),
        *(
            '{"id": 1.0}',
            '{"id": 1e3}',
            '{"id": "1"}',
            '{"id": true}',
            '{"id": null}',
            '{"id": []}',
            '{"id": {}}',
        ),
        *("{}", '{"ID": 1}', '{"id": 1, "x": 2}', '{"x": 2}', '{"": 1, "id": 1}', '{"id": "x", "x": 2}'),
        *("null", "[]", "5", '"id"', "true"),
    ],
)
def test_one_integer(peer: QemuGa, arguments: str) -> None:
    asked = request(SYNC, arguments)
    assert peer.ask(asked) == answer(asked)


@pytest.mark.parametrize(
    "arguments", ["{}", '{"x": 1}', '{"": null}', '{"caf\\u00e9": 1}', '{"a\\u0000b": 1}']
)
def test_no_arguments(peer: QemuGa, arguments: str) -> None:
    asked = request("guest-ping", arguments)
    assert peer.ask(asked) == answer(asked)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(
            ("guest-set-vcpus", arguments)
            for arguments in (
                *("{}", '{"vcpus": {}}', '{"vcpus": null}', '{"vcpus": [1]}', '{"vcpus": [[]]}'),
                *('{"vcpus": [{}]}', '{"vcpus": [{"logical-id": 0}]}'),
                f'{{"vcpus": [{VCPU}, {{"logical-id": "x", "online": true}}]}}',
                f'{{"vcpus": [{VCPU}, {{"logical-id": 0, "online": 1}}]}}',
                f'{{"vcpus": [{VCPU}, {{"logical-id": 0, "online": true, "can-offline": 0}}]}}',
                f'{{"vcpus": [{VCPU}, {{"logical-id": 0, "online": true, "x": 0}}]}}',
                f'{{"vcpus": [{VCPU}], "x": 1}}',
            )
        ),
        ("guest-file-seek", '{"handle": 1, "offset": 0}'),
        ("guest-file-seek", '{"handle": 1, "offset": 0, "whence": "middle"}'),
        ("guest-file-seek", '{"handle": 1, "offset": "0", "whence": 0}'),
        ("guest-exec", '{"path": null}'),
        ("guest-exec", '{"path": "/x", "arg": "x"}'),
        ("guest-exec", '{"path": "/x", "arg": ["x", 1]}'),
        ("guest-exec", '{"path": "/x", "arg": [], "capture_output": true}'),
    ],
)
def test_arrays_objects_enums_and_optional_members(peer: QemuGa, name: str, arguments: str) -> None:
    asked = request(name, arguments)
    assert "error" in answer(asked)
    assert peer.ask(asked) == answer(asked)


@pytest.mark.parametrize(
    "asked",
    [
        *(
            b"{}",
            b"[]",
            b'"x"',
            b'{"id": 5}',
            b'{"x": 1}',
            b'{"arguments": {}}',
            b'{"Execute": "guest-ping"}',
        ),
        *(
            b'{"execute": null}',
            b'{"execute": 5, "id": 1}',
            b'{"execute": ["guest-ping"]}',
            b'{"execute": ""}',
        ),
        *(b'{"execute": "guest-ping", "x": 1}', b'{"execute": "guest-ping", "control": {}, "id": "a"}'),
        *(b'{"exec-oob": "guest-ping", "id": 1}', b'{"execute": "guest-ping", "exec-oob": "guest-ping"}'),
        *(b'{"execute": "qmp_capabilities_"}', b'{"execute": "Guest-Ping", "id": 1}'),
        *(b'{"execute": "caf\xc3\xa9", "id": 1}', b'{"execute": "a\\u0000b"}', b'{"a\\u0000b": 1}'),
    ],
)
def test_what_is_no_request_or_no_command(peer: QemuGa, asked: bytes) -> None:
    assert peer.ask(asked) == answer(asked)


@pytest.mark.parametrize("execute", [b'"guest-ping"', b'"nope"', b"5"])
@pytest.mark.parametrize(
    "request_id",
    [
        *(b"null", b"true", b"0", b"-1", b"1.5", b"18446744073709551615", b'""', b'"caf\\u00e9"', b"[]"),
        *(b'[1, [null, {"a": false}]]', b"{}", b'{"execute": "x"}'),
        b"[" * 64 + b"]" * 64,
    ],
)
def test_the_id_comes_back(peer: QemuGa, execute: bytes, request_id: bytes) -> None:
    asked = b'{"execute": ' + execute + b', "id": ' + request_id + b"}"
    assert peer.ask(asked) == answer(asked)
    assert answer(asked)["id"] == decode(request_id)


def error(desc: str) -> Any:
    return {"error": {"class": "GenericError", "desc": desc}}


@pytest.mark.parametrize(
    ("asked", "theirs", "mine"),
    [
        # A name is cut in the error: a 64 MiB one is not sent back.
        (
            b'{"' + b"x" * 200 + b'": 1}',
            error(f"QMP input member '{'x' * 200}' is unexpected"),
            error(f"QMP input member '{'x' * 128}' is unexpected"),
        ),
        # QEMU names the alternate's type; ours has no name, and its parts say more.
        (
            b'{"execute": "guest-file-seek", "arguments": {"handle": 1, "offset": 0, "whence": []}}',
            error("Invalid parameter type for 'whence', expected: GuestFileWhence"),
            error('Invalid parameter type for \'whence\', expected: integer or "cur" | "end" | "set"'),
        ),
        # An id must be one that every reply can carry.
        (
            b'{"execute": "guest-ping", "id": ' + b"[" * 65 + b"]" * 65 + b"}",
            {"return": {}, "id": json.loads("[" * 65 + "]" * 65)},
            error("QMP input member 'id' nests deeper than 64"),
        ),
    ],
)
def test_where_we_differ_on_purpose(peer: QemuGa, asked: bytes, theirs: Any, mine: Any) -> None:
    assert (peer.ask(asked), answer(asked)) == (theirs, mine)
