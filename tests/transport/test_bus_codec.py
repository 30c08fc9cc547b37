"""Nothing that would make the bus disconnect us is encoded; nothing but MalformedMessage comes out of decoding."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_transport import signatures
from guestmux_transport.bus_codec import Codec
from guestmux_transport.bus_library import load_library
from guestmux_transport.bus_message import METHOD_CALL, SIGNAL, Message
from guestmux_transport.errors import BusUnavailable, InvalidValue, MalformedMessage, TooLarge
from guestmux_transport.values import Variant
from tests.support.bare_library import LIBRARIES, installed

LIMIT = 1024 * 1024


@pytest.fixture
def codec(library: str) -> Codec:
    return Codec(load_library(library), message_bytes=LIMIT)


def signal(signature: str = "", *body: Any) -> Message:
    return Message(
        kind=SIGNAL, serial=1, path="/a", interface="a.b", member="C", signature=signature, body=body
    )


def call(**names: str) -> Message:
    fields: dict[str, Any] = {"destination": "a.b", "path": "/a", "interface": "a.b", "member": "C"}
    return Message(kind=METHOD_CALL, serial=1, **(fields | names))


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("y", 255),
        ("b", True),
        ("n", -1),
        ("q", 65535),
        ("i", -(2**31)),
        ("u", 2**32 - 1),
        ("x", -(2**63)),
        ("t", 2**64 - 1),
        ("d", 0.5),
        ("s", "täxt"),
        ("o", "/a/b"),
        ("g", "a{sv}"),
        ("h", 0),
        ("ay", b"bytes"),
        ("as", ["a"]),
        ("av", [Variant("u", 1)]),
        ("a{sv}", {"a": Variant("(ib)", (1, False))}),
        ("a{us}", {1: "a"}),
        ("a{oa{sa{sv}}}", {"/a": {"b": {"c": Variant("v", Variant("s", "d"))}}}),
        ("a(oayv)", [("/a", b"b", Variant("i", 1))]),
        ("aai", [[1], []]),
    ],
)
def test_each_type_comes_back_as_it_went(codec: Codec, signature: str, value: Any) -> None:
    decoded = codec.decode(bytes(codec.encode(signal(signature, value))), [])
    assert decoded.signature == signature
    assert decoded.body == [value]
    assert type(decoded.body[0]) is type(value)


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("s", "nul\0"),
        ("s", "\ud800"),
        ("s", b"bytes"),
        ("s", []),
        ("s", None),
        ("as", ["a", "nul\0"]),
        ("as", "text"),
        ("a{sv}", {"nul\0": Variant("s", "a")}),
        ("a{sv}", {"a": Variant("s", "nul\0")}),
        ("a{sv}", {"a": "no variant"}),
        ("a{sv}", []),
        ("v", Variant("as", ["\udfff"])),
        ("v", Variant("si", "two types")),
        ("v", Variant("", "none")),
        ("v", Variant("{sv}", {})),
        ("v", Variant("z", 1)),
        ("v", 1),
        ("o", "no/path"),
        ("o", "/newline\n"),
        ("o", "/a//b"),
        ("o", "/a/"),
        ("g", "a"),
        ("g", "a{vs}"),
        ("g", "()"),
        ("y", 256),
        ("ay", [1]),
        ("ay", "text"),
        ("i", 2**31),
        ("ai", [2**31]),
        ("u", -1),
        ("u", "1"),
        ("x", 1.5),
        ("d", "1"),
        ("(ii)", (1,)),
        ("(ii)", 1),
        ("()", ()),
        ("s" * 256, ""),
        ("a" * 33 + "i", []),
        ("(" * 33 + "i" + ")" * 33, ()),
    ],
)
def test_what_the_bus_would_punish_is_refused(codec: Codec, signature: str, value: Any) -> None:
    with pytest.raises(InvalidValue):
        codec.encode(signal(signature, value))


@pytest.mark.parametrize(
    "names",
    [
        {"destination": "nodot"},
        {"destination": ":"},
        {"destination": "a.b\n"},
        {"destination": "a." + "b" * 255},
        {"path": "a"},
        {"path": "/a\n"},
        {"interface": "nodot"},
        {"interface": "a.b-c"},
        {"interface": "a.1"},
        {"member": "with-hyphen"},
        {"member": "C\n"},
        {"member": ""},
        {"member": "M" * 256},
    ],
)
def test_bad_names_are_refused(codec: Codec, names: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        codec.encode(call(**names))


def test_a_body_needs_as_many_values_as_the_signature(codec: Codec) -> None:
    with pytest.raises(InvalidValue):
        codec.encode(signal("ss", "one"))


def test_a_message_over_the_limit_is_refused(codec: Codec) -> None:
    codec.encode(signal("ay", bytes(LIMIT - 200)))
    with pytest.raises(TooLarge):
        codec.encode(signal("ay", bytes(LIMIT)))


def test_nothing_but_malformed_message_comes_out_of_decoding() -> None:
    """With dbus-next: `bus_library` says what dbus-fast does with bytes that no bus passes on."""
    codec = Codec(load_library("dbus-next"), message_bytes=LIMIT)
    whole = bytes(codec.encode(signal("sa{sv}ayo", "text", {"a": Variant("ai", [1])}, b"b", "/a")))

    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=6))
    def check(changes: list[tuple[int, int]]) -> None:
        broken = bytearray(whole)
        for at, value in changes:
            broken[at] = value
        with suppress(MalformedMessage):
            codec.decode(bytes(broken), [])

    check()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
BASIC = st.sampled_from(
    [
        ("y", st.integers(0, 255)),
        ("b", st.booleans()),
        ("n", st.integers(-(2**15), 2**15 - 1)),
        ("u", st.integers(0, 2**32 - 1)),
        ("x", st.integers(-(2**63), 2**63 - 1)),
        ("d", st.floats(allow_nan=False)),
        ("s", TEXT),
        ("g", st.sampled_from(["", "a{sv}", "(iu)"])),
    ]
)
Typed = tuple[str, st.SearchStrategy[Any]]


def array_of(inside: Typed) -> Typed:
    signature, value = inside
    return (
        ("ay", st.binary(max_size=20)) if signature == "y" else ("a" + signature, st.lists(value, max_size=3))
    )


def struct_of(inside: list[Typed]) -> Typed:
    return "(" + "".join(signature for signature, _ in inside) + ")", st.tuples(
        *(value for _, value in inside)
    )


def dict_of(inside: tuple[Typed, Typed]) -> Typed:
    (key, keys), (value, values) = inside
    return "a{" + key + value + "}", st.dictionaries(keys, values, max_size=3)


def variant_of(inside: Typed) -> Typed:
    return "v", inside[1].map(lambda value: Variant(inside[0], value))


TYPED: st.SearchStrategy[Typed] = st.recursive(
    BASIC,
    lambda inside: st.one_of(
        inside.map(array_of),
        st.lists(inside, min_size=1, max_size=3).map(struct_of),
        st.tuples(BASIC, inside).map(dict_of),
        inside.map(variant_of),
    ),
    max_leaves=6,
)


@given(st.data())
def test_both_libraries_agree_on_every_valid_message(data: st.DataObject) -> None:
    signature, values = data.draw(TYPED)
    value = data.draw(values)
    codecs = [
        Codec(load_library(installed(name).replace("_", "-")), message_bytes=LIMIT) for name in LIBRARIES
    ]
    encoded = [bytes(codec.encode(signal(signature, value))) for codec in codecs]
    assert encoded[0] == encoded[1]
    assert [codec.decode(encoded[0], []).body for codec in codecs] == [[value], [value]]


@pytest.mark.parametrize("end", [0, 1, 15, 16, 40, -1])
def test_half_a_message_is_malformed(codec: Codec, end: int) -> None:
    whole = bytes(codec.encode(signal("s", "text")))
    with pytest.raises(MalformedMessage):
        codec.decode(whole[:end], [])


def test_signatures_split_into_complete_types() -> None:
    assert signatures.split("") == ()
    assert signatures.split("sa{sv}a(ii)v") == ("s", "a{sv}", "a(ii)", "v")
    assert signatures.split("a" * 32 + "i")
    assert signatures.split("(" * 32 + "i" + ")" * 32)


def test_ever_new_signatures_do_not_stay_in_memory(codec: Codec) -> None:
    """The bare libraries keep each of them for ever."""
    for number in range(3000):
        name = "".join("iu"[number >> bit & 1] for bit in range(12))
        codec.decode(bytes(codec.encode(signal("v", Variant(f"({name})", (1,) * 12)))), [])
    assert codec.library.signatures_remembered < 1200


def test_a_library_that_is_not_known_is_refused() -> None:
    with pytest.raises(BusUnavailable, match="takes dbus-fast or dbus-next"):
        load_library("dbus-python")
