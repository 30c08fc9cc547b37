"""Bytes to JSON values: what is one item, what is one error, and what a hostile stream costs."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guestmux_protocol.errors import FramingError
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.json_exact import STRAY_BYTES
from guestmux_protocol.json_structure import WINDOW, has_more_tokens_than
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits
from tests.support.three_ways import in_pieces, three_ways

Item = bytes | str
SIZE = "JSON token size limit exceeded"
COUNT = "JSON token count limit exceeded"
DEPTH = "JSON nesting depth limit exceeded"
VALUE = "JSON parse error, expecting value"
SMALL = Limits(message_bytes=40, nesting=5, tokens=12)
T = TypeVar("T")


def stray(text: str) -> str:
    return f"JSON parse error, stray '{text}'"


def plain(items: list[bytes | FramingError]) -> list[Item]:
    return [item.desc if isinstance(item, FramingError) else item for item in items]


def framing(limits: Limits = DEFAULT_LIMITS) -> Callable[[], Callable[[bytes], list[Item]]]:
    def new() -> Callable[[bytes], list[Item]]:
        framer = JsonFramer(limits)
        return lambda data: plain(framer.feed(data))

    return new


def frame(data: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Item]:
    """The items of data; each case ends between values or in garbage, so a newline and a value may follow."""
    return three_ways(framing(limits), data, b'\n{"tail": 1}', [b'{"tail": 1}'])


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"", []),
        (b" \t\r\n\xff\xff\n", []),
        (b'{"execute": "guest-ping"}\n', [b'{"execute": "guest-ping"}']),
        (b'{"a": 1}{"b": 2}', [b'{"a": 1}', b'{"b": 2}']),
        (b'\xff{"a": 1}\n\xff', [b'{"a": 1}']),
        (b'{"a": [1, {"b": "}]"}]}[]', [b'{"a": [1, {"b": "}]"}]}', b"[]"]),
        (b"[[[[[[[[]]]]]]]]", [b"[[[[[[[[]]]]]]]]"]),
        (b'{"a":{"a":{"a":{"a":{"a":{"a":[]}}}}}}', [b'{"a":{"a":{"a":{"a":{"a":{"a":[]}}}}}}']),
        (b'{"a": {"b": [[[[[1]]]]]}}', [b'{"a": {"b": [[[[[1]]]]]}}']),
        (b"{'a': '\"}'}", [b"{'a': '\"}'}"]),
        (rb'{"a\"}": "\\"}', [rb'{"a\"}": "\\"}']),
        (rb"{'a\'}': '\\'}", [rb"{'a\'}': '\\'}"]),
        (b'{"caf\xc3\xa9": "\x7f\x80\xfe"}', [b'{"caf\xc3\xa9": "\x7f\x80\xfe"}']),
        (b"\"text\"'text'", [b'"text"', b"'text'"]),
        (b"{]", [b"{]"]),
        (b"[}", [b"[}"]),
        (b'{"a": [1}]', [b'{"a": [1}]']),
        (b"[[{{{{{]]]]{}", [b"[[{{{{{]]]", VALUE, b"{}"]),
        (b"{{[[[[[}}}[]", [b"{{[[[[[}}}", b"[]"]),
        (b"5\n", [b"5"]),
        (b"-1.5e+3\n", [b"-1.5e+3"]),
        (b"null{}", [b"null", b"{}"]),
        (b"hello world 5 {}", [b"hello", b"{}"]),
        (b"5 6\n7\n", [b"5", b"7"]),
    ],
)
def test_values(data: bytes, values: list[Item]) -> None:
    assert frame(data) == values


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b"HELLO WORLD\n", [stray("H")]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [stray("G"), stray("H")]),
        (b"}", [VALUE]),
        (b"]]]}}}]", [VALUE]),
        (b",\n:\n", [VALUE, VALUE]),
        (b'{"a": 1}}{"b": 2}', [b'{"a": 1}', VALUE, b'{"b": 2}']),
        (b"\xc3\xa9{}", [stray("�"), b"{}"]),
        (b"\xef\xbb\xbf{}", [stray("�"), b"{}"]),
        (b"\x00", [stray("")]),
        (b"\x01\x02\x03\n", [stray("\x01")]),
        (b"(\xff5\n", [stray("("), b"5"]),
        (b'{"execute":"guest-pi\xff{}', [stray('"guest-pi�'), b"{}"]),
        (b'{"execute":"guest-pi\n{}', [stray('"guest-pi\n'), b"{}"]),
        (b'{"a": "x\ny": 5}\n{}', [stray('"x\n'), b"{}"]),
        (b'{"a": "x\t', [stray('"x\t')]),
        (b'{"a": "x\x00"}', [stray('"x')]),
        (b"'x\x01", [stray("'x\x01")]),
        (b'{"a": "\\\xff{}', [stray('"\\�'), b"{}"]),
        (b'{"a": "\\\n', [stray('"\\\n')]),
        (b'{"caf\xc3\xa9\xff', [stray('"café�')]),
        (b'{"a": \xff"x"', [stray("�"), b'"x"']),
        (b'{"a": \x1b"x"', [stray("\x1b")]),
        (b'{"a": [{"b": \x00[]', [stray(""), b"[]"]),
        (b'["' + b"x" * 200 + b"\xff", [stray('"' + "x" * (STRAY_BYTES - 1))]),
        (b'["a", "' + b"y" * 30 + b"\xff", [stray('"' + "y" * 30 + "�")]),
    ],
)
def test_one_fault_is_one_error(data: bytes, items: list[Item]) -> None:
    assert frame(data) == items


@pytest.mark.parametrize("cut", range(1, 30))
def test_the_stray_string_is_shown_wherever_it_was_cut(cut: int) -> None:
    data = b'["a", "' + b"y" * 30 + b"\xff"
    assert in_pieces(framing()(), data, cut) == [stray('"' + "y" * 30 + "�")]


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b"[" + b"1" * 38 + b"]", [b"[" + b"1" * 38 + b"]"]),
        (b"[" + b"1" * 39 + b"]{}", [SIZE, b"{}"]),
        (b'{"a": "' + b"x" * 100 + b'{["}{}', [SIZE, b"{}"]),
        (b'{"a": "' + b"x" * 100 + b"\xff{}", [SIZE, b"{}"]),
        (b'{"a": "' + b"x" * 100 + b"\n}}{}", [SIZE, b"{}"]),
        (b"[" + b"1" * 39 + b"\xff{}", [SIZE, b"{}"]),
        (b"1" * 39 + b"\n", [b"1" * 39]),
        (b"1" * 100 + b"\n{}", [SIZE, b"{}"]),
        (b"[[[[[]]]]]", [b"[[[[[]]]]]"]),
        (b"[[[[[[]]]]]]{}", [DEPTH, b"{}"]),
        (b"[[1, {{{[" + b"[" * 90 + b"]" * 91 + b"}}}]]{}", [DEPTH, b"{}"]),
        (b"[[[[[[[[\xff{}", [DEPTH, b"{}"]),
        (b"[[[[[[[[\x00{}", [DEPTH, b"{}"]),
        (b"[1,1,1,1,1]", [b"[1,1,1,1,1]"]),
        (b"[1,1,1,1,1,]", [b"[1,1,1,1,1,]"]),
        (b"[1,1,1,1,1,1]{}", [COUNT, b"{}"]),
        (b"[1,1,1,1,1,1,1,1,1,1,1,1,1,[[1]]]{}", [COUNT, b"{}"]),
        (b"[" + b"1," * 40 + b"]{}", [COUNT, b"{}"]),
        (b"[" + b"1," * 10 + b"[[[[[[]]]]]]]{}", [COUNT, b"{}"]),
        (b"[" + b"1," * 10 + b"\xff{}", [COUNT, b"{}"]),
        (b'[" , , , , , , , , , , , , , "]', [b'[" , , , , , , , , , , , , , "]']),
    ],
)
def test_a_value_over_a_limit_is_one_error(data: bytes, items: list[Item]) -> None:
    assert frame(data, SMALL) == items


def test_default_limits_are_those_of_qemu() -> None:
    assert frame(b"[" * 1024 + b"]" * 1024) == [b"[" * 1024 + b"]" * 1024]
    assert frame(b"[" * 1025 + b"]" * 1025) == [DEPTH]
    most = b"[" + b"1," * (2**20 - 1) + b"]"
    assert plain(JsonFramer().feed(most)) == [most]
    assert in_pieces(framing()(), most, 1 << 16) == [most]
    assert plain(JsonFramer().feed(most[:-1] + b"1]{}")) == [COUNT, b"{}"]
    assert in_pieces(framing()(), most[:-1] + b"1]{}", 1 << 16) == [COUNT, b"{}"]


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(nesting=0)


def test_large_strings_survive_any_chunks() -> None:
    value = b'{"buf-b64": "' + b"QUJD" * (1 << 20) + b'"}'
    for size in (4096, 65_536, len(value)):
        assert in_pieces(framing()(), value, size) == [value]


def test_the_largest_value_is_taken() -> None:
    value = b'["' + b"x" * (DEFAULT_LIMITS.message_bytes - 4) + b'"]'
    framer = JsonFramer()
    assert framer.feed(value + b"\n") == [value]
    assert plain(framer.feed(value[:-2] + b'x"]{}')) == [SIZE, b"{}"]


@pytest.mark.parametrize(
    "unit", [b"[", b"{", b"]", b"\x00", b"A", b"a", b"1", b",", b'["', b"{'", b'"\\', b"[,"]
)
def test_a_flood_is_few_errors_and_bounded_memory(unit: bytes) -> None:
    limits = Limits(message_bytes=1 << 16)
    framer = JsonFramer(limits)
    chunk = unit * (1 << 13)
    errors = 0
    tracemalloc.start()
    for _ in range(16):
        errors += len(framer.feed(chunk))
        assert framer.buffered <= limits.message_bytes
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert errors <= 1
    assert peak < 8 * limits.message_bytes


def test_a_hundred_megabytes_of_brackets_is_one_error() -> None:
    framer = JsonFramer()
    flood = b"[" * 100_000_000
    assert plain(framer.feed(flood)) == [DEPTH]
    assert framer.buffered == 0
    assert plain(framer.feed(flood.replace(b"[", b"]") + b"{}")) == [b"{}"]


def test_reset_forgets_a_half_received_value() -> None:
    framer = JsonFramer()
    assert framer.feed(b'{"execute": "guest-p') == []
    assert framer.buffered == 20
    assert repr(framer) == "<JsonFramer in_value buffered=20>"
    framer.reset()
    assert framer.buffered == 0
    assert framer.feed(b"{}") == [b"{}"]
    assert repr(framer) == "<JsonFramer between buffered=0>"


def test_reset_forgets_garbage_and_skipping() -> None:
    framer = JsonFramer(SMALL)
    framer.feed(b"HELLO")
    framer.reset()
    assert framer.feed(b"5\n") == [b"5"]
    framer.feed(b"[[[[[[")
    framer.reset()
    assert framer.feed(b"[]") == [b"[]"]


# Every byte that means something to the framer, and little else.
MARKS = [bytes([byte]) for byte in b"{}[]\"'\\\xff\n\t\x00 ,:a1A\xfe"]
PHRASES = [b'{"a": [1, "b"]}', b'{"execute": "guest-ping"}\n', b"[[]]", rb'"\""', b"\xc3\xa9"]
streams = st.lists(st.sampled_from([*MARKS, *PHRASES]), max_size=60).map(b"".join)
limit_sets = st.sampled_from(
    [DEFAULT_LIMITS, SMALL, Limits(1, 1, 1), Limits(20, 3, 1000), Limits(1000, 4, 6)]
)


@given(streams | st.binary(max_size=80), limit_sets, st.lists(st.integers(1, 20), max_size=20))
@example(b'{{{"execute": "guest-ping"}\n', Limits(1000, 4, 6), [])
def test_the_chunks_do_not_matter(data: bytes, limits: Limits, sizes: list[int]) -> None:
    whole = framing(limits)()(data)
    assert in_pieces(framing(limits)(), data, 1) == whole
    feed, pos, items = framing(limits)(), 0, []
    for size in sizes:
        items += feed(data[pos : pos + size])
        pos += size
    assert items + feed(data[pos:]) == whole


@given(streams | st.binary(max_size=80), limit_sets)
def test_a_reset_byte_brings_any_stream_back(data: bytes, limits: Limits) -> None:
    framer = JsonFramer(limits)
    before = plain(framer.feed(data))
    errors = framer.feed(b"\xff")
    assert len(errors) <= 1
    assert framer.buffered == 0
    assert framer.feed(b"\xff") == []
    assert plain(framer.feed(b"1 ")) == ([b"1"] if limits.message_bytes > 1 else [SIZE])
    assert all(len(item) <= limits.message_bytes for item in before if isinstance(item, bytes))


def value_at(data: bytes, start: int) -> tuple[int, bool]:
    """Where the value that begins at `start` ends, and whether what follows breaks it; -1 if it goes on."""
    counts = dict.fromkeys(b"{}[]", 0)
    quote, escaped = 0, False
    for pos in range(start, len(data)):
        byte = data[pos]
        if byte == 0xFF or (byte < 0x20 and (quote or byte not in b"\t\n\r")):
            return pos, True
        if quote:
            closes = byte == quote and not escaped
            escaped = byte == ord("\\") and not escaped
            quote = 0 if closes else quote
        elif byte in b"\"'":
            quote = byte
        elif byte in counts:
            counts[byte] += 1
        braces, brackets = counts[ord("{")] - counts[ord("}")], counts[ord("[")] - counts[ord("]")]
        if not quote and (braces < 0 or brackets < 0 or not (braces or brackets)):
            return pos + 1, False
    return -1, False


def stray_at(data: bytes, start: int, pos: int) -> str:
    """The error for a value from `start` broken at `pos`: its open string, if one is."""
    strings = re.sub(
        rb"(?s)\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", lambda m: b"_" * len(m[0]), data[start:pos]
    )
    opened = re.search(rb"[\"']", strings)
    token = data[start + opened.start() : pos + 1] if opened else data[pos : pos + 1]
    return stray(token[:STRAY_BYTES].partition(b"\0")[0].decode("utf-8", "replace"))


def reference(data: bytes) -> list[Item]:
    """The same rules with no limits, no chunks and no speed: short enough to be seen to be right."""
    items: list[Item] = []
    pos = 0
    while rest := data[pos:].lstrip(b"\t\n\r \xff"):
        pos = len(data) - len(rest)
        garbage = True
        if rest[:1] in b"[{\"'":
            end, garbage = value_at(data, pos)
            if end < 0:
                break
            items.append(stray_at(data, pos, end) if garbage else data[pos:end])
            pos, garbage = end + garbage, garbage and data[end] != 0xFF
        elif scalar := re.match(rb"[a-z]+|[-0-9][-+.0-9Ee]*", rest):
            if scalar.end() == len(rest):
                break
            items.append(scalar[0])
            pos += scalar.end()
        else:
            token = rest[:1].strip(b"\0").decode("utf-8", "replace")
            items.append(VALUE if rest[:1] in b"]},:" else stray(token))
            pos += 1
        if garbage and (match := re.compile(rb"[^\r\n\xff{[]*").match(data, pos)):
            pos = match.end()
    return items


@given(streams | st.binary(max_size=80))
def test_the_fast_paths_agree_with_the_plain_rules(data: bytes) -> None:
    assert framing()()(data) == reference(data)


# Runs of text that are passed at once, between what must not be passed with them.
long_streams = st.lists(st.sampled_from([*MARKS, *PHRASES, b"x" * 300, b"\xfe" * 999]), max_size=16).map(
    b"".join
)


@given(long_streams, st.integers(1, 700))
@example(b'{"' + b"x" * 300 + b'\\"' + b"x" * 300 + b"\x1f{}", 700)
def test_long_strings_follow_the_plain_rules(data: bytes, size: int) -> None:
    assert framing()()(b'{"' + data) == reference(b'{"' + data)
    assert in_pieces(framing()(), b'{"' + data, size) == reference(b'{"' + data)


@pytest.mark.parametrize(
    "tail", [b'{"a": [[{}]]}]', b'"\\"\\\\x"]', b'"text\n', b"'\xff", b"1}", b'[{"a": "b"}}']
)
@pytest.mark.parametrize("before_edge", range(12))
def test_the_edge_of_a_window_does_not_matter(tail: bytes, before_edge: int) -> None:
    data = b"[" + b" " * (WINDOW - before_edge) + tail
    assert framing()()(data) == reference(data)


@given(st.binary(max_size=60) | streams, st.integers(0, 40))
def test_the_token_count_never_shrinks_as_text_grows(text: bytes, limit: int) -> None:
    over = [has_more_tokens_than(limit, text[:end]) for end in range(len(text) + 1)]
    assert over == sorted(over)


def test_white_space_is_passed_once() -> None:
    framer = JsonFramer(Limits(tokens=10))
    assert framer.feed(b"[" + b" " * 2_000_000) == []
    assert plain(framer.feed(b" " * 2_000_000 + b"1, " * 10 + b"]")) == [COUNT]
    assert framer.feed(b"\n" * 2_000_000) == []


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 5000])
def test_tokens_are_counted_exactly(count: int) -> None:
    text = b" 1,\t" * (count // 2) + b'"x\\"" ' * (count % 2)
    assert has_more_tokens_than(count - 1, text)
    assert not has_more_tokens_than(count, text)
