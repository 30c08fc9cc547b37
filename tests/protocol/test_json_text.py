"""JSON text to values and back: QEMU's words, the same answer from the fast and the exact decoder."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol import json_text
from guestmux_protocol.errors import GuestmuxError, JsonError, ProtocolError, RemoteError
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.json_exact import STRAY_BYTES, decode_exactly
from guestmux_protocol.json_text import LONG, decode, encode


def refusal(text: bytes) -> str:
    """The words for a text that is no JSON; the exact decoder alone has the same."""
    with pytest.raises(JsonError) as fast:
        decode(text)
    with pytest.raises(JsonError) as exact:
        decode_exactly(text)
    assert fast.value.desc == exact.value.desc
    return fast.value.desc.removeprefix("JSON parse error, ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"execute": "guest-ping"}', {"execute": "guest-ping"}),
        (b" [null, true, false, -0, 17]\n", [None, True, False, 0, 17]),
        (b"{}", {}),
        (b"[]", []),
        (b"5", 5),
        (b'"x"', "x"),
        (b"[[], [[]], {}]", [[], [[]], {}]),
        (b'{"a": {"b": [{"c": 1}, {"c": 2}]}, "c": ""}', {"a": {"b": [{"c": 1}, {"c": 2}]}, "c": ""}),
        (b'{"a": "x: y", "b:": [":"]}', {"a": "x: y", "b:": [":"]}),
        (rb'{"a": "x\u003a y"}', {"a": "x: y"}),
        (b"{'a': '\"'}", {"a": '"'}),
        (rb"""["\'", '\"\'', "'"]""", ["'", "\"'", "'"]),
        (rb'"\b\f\n\r\t\/\\\""', '\b\f\n\r\t/\\"'),
        (rb'"\u0000\u00e9\ud83d\ude00\uD83D\uDE00"', "\0é😀😀"),
        (b'"\xc0\x80\x7f\xc3\xa9"', "\0\x7fé"),
        (b'"\xef\xbf\xbf \\ufdd0"', "\uffff \ufdd0"),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"18446744073709551615", 2**64 - 1),
        (b"[1.5e3, 0.25, 1E+2, 1e-320, -0.5, 0e1]", [1500.0, 0.25, 100.0, 1e-320, -0.5, 0.0]),
    ],
)
def test_decode(text: bytes, value: Any) -> None:
    assert decode(text) == value
    assert decode_exactly(text) == value
    assert repr(decode(text)) == repr(value)


@pytest.mark.parametrize("text", [b"18446744073709551616", b"-9223372036854775809", b"1" + b"0" * 300])
def test_an_integer_beyond_64_bits_is_a_float(text: bytes) -> None:
    for decoder in (decode, decode_exactly):
        (value,) = decoder(b"[" + text + b"]")
        assert type(value) is float
        assert value == float(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "premature end of input"),
        (b" \n", "premature end of input"),
        (b"[1", "premature end of input"),
        (b'{"a":', "premature end of input"),
        (b'"abc', "stray '\"abc'"),
        (b'"abc\\', "stray '\"abc\\'"),
        (b"hello", "invalid keyword 'hello'"),
        (b"[" + b"x" * 300 + b"]", "invalid keyword '" + "x" * STRAY_BYTES + "'"),
        (b"nul", "invalid keyword 'nul'"),
        (b"[nan]", "invalid keyword 'nan'"),
        (b"[NaN]", "stray 'N'"),
        (b"[-Infinity]", "stray '-I'"),
        (b"[Infinity]", "stray 'I'"),
        (b"[1e400]", "number out of range"),
        (b"[-1e400]", "number out of range"),
        (b"9" * 5000, "number out of range"),
        (b"[01]", "stray '01'"),
        (b"[-01]", "stray '-01'"),
        (b"[-]", "stray '-]'"),
        (b"[1.]", "stray '1.]'"),
        (b"[1.e5]", "stray '1.e'"),
        (b"[1e]", "stray '1e]'"),
        (b"[1e+]", "stray '1e+]'"),
        (b"[1.5e", "stray '1.5e'"),
        (b"[.5]", "stray '.'"),
        (b"[+5]", "stray '+'"),
        (b"[1a]", "expected separator in list"),
        (b'{"a" 1}', "missing : in object pair"),
        (b'{"a"}', "missing : in object pair"),
        (b'{"a":1 "b":2}', "expected separator in dict"),
        (b'{"a":1:2}', "expected separator in dict"),
        (b'{"a":1]', "expected separator in dict"),
        (b'{"a":1,}', "expecting value"),
        (b'{"a":}', "expecting value"),
        (b"{,}", "expecting value"),
        (b"{]", "expecting value"),
        (b"[}", "expecting value"),
        (b"}", "expecting value"),
        (b"[,]", "expecting value"),
        (b"[1,]", "expecting value"),
        (b"[1 2]", "expected separator in list"),
        (b"[1}", "expected separator in list"),
        (b"{1:2}", "key is not a string in object"),
        (b"{{}:2}", "key is not a string in object"),
        (b"{[]:2}", "key is not a string in object"),
        (b"{null:2}", "key is not a string in object"),
        (b"{hello:1}", "invalid keyword 'hello'"),
        (b'{"a":1,"a":2}', "duplicate key"),
        (b'{"a":{"b":1,"b":2}}', "duplicate key"),
        (b'[{"b":1,"b":2}]', "duplicate key"),
        (rb'{"a":1,"\u0061":2}', "duplicate key"),
        (b'{"a":":","a":1}', "duplicate key"),
        (b'{"a":1,"a":":"}', "duplicate key"),
        (rb'{"a":1,"a":"\u003a"}', "duplicate key"),
        (rb'{"a":1,"a":"\u003A"}', "duplicate key"),
        (rb'["\x"]', "invalid escape sequence in string"),
        (b'["\\\xc3\xa9"]', "invalid escape sequence in string"),
        (rb'["\u12"]', r'\u12" is not a valid Unicode character'),
        (rb'["\u12zz"]', r"\u12zz is not a valid Unicode character"),
        (rb'["\ud800"]', r"\ud800 is not a valid Unicode character"),
        (rb'["\udc00"]', r"\udc00 is not a valid Unicode character"),
        (rb'["\ud83dA"]', r"\ud83d is not a valid Unicode character"),
        (rb'["\ud83d\ud83d\ude00"]', r"\ud83d is not a valid Unicode character"),
        (b'["\x80"]', "invalid UTF-8 sequence in string"),
        (b'["\xc3"]', "invalid UTF-8 sequence in string"),
        (b'["\xed\xa0\x80"]', "invalid UTF-8 sequence in string"),
        (b'["\xf4\x90\x80\x80"]', "invalid UTF-8 sequence in string"),
        (b'["\xc3\\n\\x"]', "invalid UTF-8 sequence in string"),
        (b'["\xfe"]', "stray '\"�'"),
        (b'["x\t"]', "stray '\"x\t'"),
        (b'["x\x00"]', "stray '\"x'"),
        (b"[\x0c]", "stray '\x0c'"),
        (b"[%d]", "stray '%'"),
        (b"\xef\xbb\xbf{}", "stray '�'"),
        (b'{"a" 1, A}', "stray 'A'"),
        (b"5 6", "expecting end of input"),
        (b"{} {}", "expecting end of input"),
        (b"{}}", "expecting end of input"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_qemu(text: bytes, words: str) -> None:
    assert refusal(text) == words


def test_a_stray_token_is_shown_in_part() -> None:
    assert refusal(b'"' + b"x" * 1000) == "stray '\"" + "x" * (STRAY_BYTES - 1) + "'"


def test_nesting_to_the_limit_is_decoded() -> None:
    value = decode(b"[" * 1024 + b"]" * 1024)
    depth = 1
    while value:
        (value,) = value
        depth += 1
    assert depth == 1024
    assert refusal(b"[" * 100_000) == "premature end of input"


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text()
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_was_encoded_decodes_to_itself(value: Any) -> None:
    text = encode(value)
    assert text.decode("ascii") == json.dumps(value)
    assert decode(text) == value
    assert decode_exactly(text) == value


@given(values)
def test_any_style_of_json_decodes_the_same(value: Any) -> None:
    for text in (
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, indent=1),
        json.dumps(value, separators=(",", ":")),
    ):
        raw = text.encode()
        assert decode(raw) == decode_exactly(raw) == value


@given(values, st.binary(max_size=30))
def test_an_encoded_value_is_one_frame(value: Any, noise: bytes) -> None:
    framer = JsonFramer()
    framer.feed(noise)
    framer.feed(b"\xff")
    text = encode(value)
    assert framer.feed(text + b"\n") == [text]


JSON_MARKS = [bytes([byte]) for byte in b"{}[]\"'\\:,0159.-+eEu \n\xff\xc3\xa9\x00A"]
JSON_PHRASES = [
    b"null",
    b'"a":',
    b'"a"',
    rb"\ud83d",
    rb"\ude00",
    rb"\u003a",
    b'":"',
    b"true",
    b"NaN",
    b"1e400",
    b"9" * 20,
]


@given(st.binary() | st.lists(st.sampled_from([*JSON_MARKS, *JSON_PHRASES])).map(b"".join))
def test_nothing_but_json_error_escapes_the_decoder(text: bytes) -> None:
    """From the decoder nothing but JsonError escapes; what it takes, the exact decoder takes the same way."""
    try:
        value = decode(text)
    except JsonError:
        refusal(text)
    else:
        assert repr(value) == repr(decode_exactly(text))
        assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"return": {}}, b'{"return": {}}'),
        ([1, 2.5, None, True, "é\n\0"], rb'[1, 2.5, null, true, "\u00e9\n\u0000"]'),
        ({"a": (1,)}, b'{"a": [1]}'),
        ("😀", rb'"\ud83d\ude00"'),
        ("\\ud800 \\\\udc00", rb'"\\ud800 \\\\udc00"'),
        ("\ud7ff\ue000", rb'"\ud7ff\ue000"'),
    ],
)
def test_encode(value: Any, text: bytes) -> None:
    assert encode(value) == text


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf],
        {"a": -math.inf},
        b"bytes",
        {1, 2},
        object(),
        {(1, 2): 3},
        10**5000,
        "\ud800",
        {"\udfff": 1},
        "\udc00\ud800",
        nested(100_000),
        endless(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(JsonError, match=r"^the value has no JSON text: "):
        encode(value)


@given(
    st.recursive(
        st.none() | st.floats() | st.text(st.characters()) | st.binary(), lambda inner: st.lists(inner)
    )
)
def test_nothing_but_json_error_escapes_the_encoder(value: Any) -> None:
    """From the encoder nothing but JsonError escapes."""
    try:
        text = encode(value)
    except JsonError:
        return
    assert decode(text) == value


LONG_STRINGS = [
    b"QUJD" * LONG,
    b"x" * (LONG + 1),
    b"x" * LONG,
    b":," * LONG,
    b"\\n" * LONG,
    b"'{" * LONG,
    b"x" * LONG + b"\\",
    "ä".encode() * LONG,
    b"\xff" * LONG,
]
AROUND = [
    b'"%b"',
    b'{"execute": "guest-file-write", "arguments": {"handle": 1000, "buf-b64": "%b"}}',
    b'{"%b": 1}',
    b'{"a": "%b", "b": ":", "b": 1}',
    b'["%b", "%b", -1]',
    b'["%b", -0.0e-0]',
    b'[-0.0e-0, "%b"]',
    b'["\\"%b"]',
    b'["%b", 1e999]',
    b'["%b", 1.5, "\\u00e9", 18446744073709551616]',
    b"{'a': \"%b\"}",
    b"{'a': '%b'}",
    b"{'a\"': \"%b\", 'b': 1}",
    b'["a" %b "b"]',
    b'["a"%b]',
    b'["%b]',
    b"[" + b'"", ' * 40 + b'"%b"]',
]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("string", LONG_STRINGS)
def test_a_long_string_is_read_as_any_other(around: bytes, string: bytes) -> None:
    text = around.replace(b"%b", string)
    try:
        value = decode_exactly(text)
    except JsonError:
        refusal(text)
    else:
        assert repr(decode(text)) == repr(value)


def test_a_long_text_may_have_no_string() -> None:
    assert decode(b"[" + b"1," * LONG + b"1]") == [1] * (LONG + 1)


def test_without_the_compiled_encoder_the_text_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    value = {"return": [1, "é", {"a": None}]}
    assert json_text._make_encode()(value) == json_text._encode(value)


LONG_TEXTS = [
    "x" * LONG,
    "x" * (LONG + 1),
    "\x7f" * (LONG + 1),
    "".join(map(chr, range(127))) * LONG,
    "ä" * (LONG + 1),
]


@pytest.mark.parametrize("text", LONG_TEXTS)
def test_long_text_is_written_as_any_other(text: str) -> None:
    value = {"count": 1, 'a"b': text, "ü": [text], "eof": True}
    assert encode(value) == json.dumps(value).encode()
    assert encode({"x": text}) == json.dumps({"x": text}).encode()


def test_long_text_hides_no_fault_beside_it() -> None:
    for fault in (math.nan, "\ud800", object(), "x" * LONG + "\udc00"):
        with pytest.raises(JsonError):
            encode({"long": "x" * (LONG + 1), "fault": fault})


def test_the_two_families_of_errors() -> None:
    assert issubclass(JsonError, ProtocolError)
    assert issubclass(ProtocolError, GuestmuxError)
    assert not issubclass(RemoteError, GuestmuxError)
    assert str(ProtocolError("x")) == ProtocolError("x").desc == "x"
    error = RemoteError("CommandNotFound", "The command x has not been found")
    assert (error.error_class, error.desc) == ("CommandNotFound", "The command x has not been found")
    assert str(error) == "CommandNotFound: The command x has not been found"
    assert str(RemoteError("GenericError", "no")) == "no"
