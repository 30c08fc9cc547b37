"""JSON values to D-Bus variants and back."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_transport.bus_codec import Codec
from guestmux_transport.bus_library import load_library
from guestmux_transport.bus_message import SIGNAL, Message
from guestmux_transport.errors import InvalidValue
from guestmux_transport.values import NULL, Variant, from_json, object_from_json, to_json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=12,
)


def nested_lists(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(JSON)
def test_json_comes_back_as_it_went(value: Any) -> None:
    back = to_json(from_json(value))
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize("library", ["dbus-next", "dbus-fast"])
def test_json_survives_the_wire(library: str) -> None:
    pytest.importorskip(library.replace("-", "_"))
    codec = Codec(load_library(library), message_bytes=1024 * 1024)

    @given(st.dictionaries(TEXT, JSON, max_size=5))
    def check(value: dict[str, Any]) -> None:
        message = Message(
            kind=SIGNAL,
            serial=1,
            path="/a",
            interface="a.b",
            member="C",
            signature="a{sv}",
            body=[object_from_json(value)],
        )
        decoded = codec.decode(bytes(codec.encode(message)), [])
        assert repr(to_json(decoded.body[0])) == repr(value)

    check()


@pytest.mark.parametrize(
    ("value", "variant"),
    [
        (None, NULL),
        (True, Variant("b", True)),
        (-1, Variant("x", -1)),
        (2**63, Variant("t", 2**63)),
        (1.0, Variant("d", 1.0)),
        ("text", Variant("s", "text")),
        ([1, "a"], Variant("av", [Variant("x", 1), Variant("s", "a")])),
        ((1,), Variant("av", [Variant("x", 1)])),
        ({"a": None}, Variant("a{sv}", {"a": NULL})),
    ],
)
def test_each_json_type_has_one_dbus_type(value: Any, variant: Variant) -> None:
    assert from_json(value) == variant


@pytest.mark.parametrize(
    ("variant", "value"),
    [
        (Variant("ay", b"\x00\xff"), "AP8="),
        (Variant("as", ["a", "b"]), ["a", "b"]),
        (Variant("(is)", (1, "a")), [1, "a"]),
        (Variant("a{us}", {7: "seven"}), {"7": "seven"}),
        (Variant("a{bs}", {True: "yes", False: "no"}), {"true": "yes", "false": "no"}),
        (Variant("v", Variant("i", 3)), 3),
        (Variant("o", "/a"), "/a"),
        (Variant("g", "a{sv}"), "a{sv}"),
        (Variant("g", ""), None),
    ],
)
def test_dbus_types_that_json_lacks_become_the_nearest_one(variant: Variant, value: Any) -> None:
    assert to_json(variant) == value


@pytest.mark.parametrize("variant", [Variant("d", math.nan), Variant("d", math.inf), Variant("h", 0)])
def test_what_json_cannot_say_is_refused(variant: Variant) -> None:
    with pytest.raises(InvalidValue):
        to_json(variant)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, b"bytes", object(), {1, 2}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue):
        from_json(value)


def test_nesting_is_bounded() -> None:
    assert from_json(nested_lists(31)).signature == "av"
    with pytest.raises(InvalidValue, match="deeper"):
        from_json(nested_lists(32))
    with pytest.raises(InvalidValue, match="deeper"):
        from_json(nested_lists(100_000))
