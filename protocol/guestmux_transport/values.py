"""JSON values and D-Bus variants, and the way from one to the other."""

import base64
import math
from collections.abc import Callable
from typing import Any

import msgspec

from guestmux_transport.errors import InvalidValue

# libdbus's validate_body_helper: arrays, dictionary entries, structs and variants count one level each, and a
# value more than 64 levels down makes the bus drop its sender. Measured in tests/transport/test_bus_limits.py.
MAX_DEPTH = 64

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_UINT64_MAX = 2**64 - 1


class Variant(msgspec.Struct, frozen=True):
    """A D-Bus value that carries its own type.

    Attributes:
        signature: one complete D-Bus type, as "s" or "a{sv}".
        value: str, int, float, bool, bytes ("ay"), list, tuple (struct), dict or Variant, as the type says.
    """

    signature: str
    value: Any


# D-Bus has no null; an empty signature is a value that nothing else uses.
NULL = Variant("g", "")
_TRUE = Variant("b", True)
_FALSE = Variant("b", False)


def from_json(value: Any, *, _depth: int = 1) -> Variant:
    """Turn a JSON value into a variant: null is "g", then "b", "x" or "t", "d", "s", "av", "a{sv}".

    Text is checked when the message is sent: once, and together with what never was JSON.

    Raises:
        InvalidValue: deeper than D-Bus allows (about 20 objects or 31 arrays in one another), an integer beyond
            64 bits, or no JSON value.
    """
    convert = _FROM_JSON.get(type(value))
    if convert is None:
        raise InvalidValue(f"no JSON value: {type(value).__name__}")
    return convert(value, _depth)


def object_from_json(members: dict[str, Any]) -> dict[str, Variant]:
    """Turn a JSON object into the "a{sv}" argument of a method.

    Raises:
        InvalidValue: as `from_json`.
    """
    return {name: from_json(value, _depth=3) for name, value in members.items()}


def to_json(value: Any) -> Any:
    """Turn a variant, or what is inside one, into a JSON value; bytes become base64 text, structs arrays.

    Raises:
        InvalidValue: what JSON cannot say: a number that is not finite, a file descriptor.
    """
    convert = _TO_JSON.get(type(value))
    if convert is None:
        raise InvalidValue(f"no JSON for a D-Bus value of type {type(value).__name__}")
    return convert(value)


def _same(value: Any) -> Any:
    return value


def _int_to_variant(value: int, _depth: int) -> Variant:
    if _INT64_MIN <= value <= _INT64_MAX:
        return Variant("x", value)
    if 0 <= value <= _UINT64_MAX:
        return Variant("t", value)
    raise InvalidValue("an integer that needs more than 64 bits")


def _list_to_variant(value: list[Any] | tuple[Any, ...], depth: int) -> Variant:
    _check_depth(depth + 2)
    return Variant("av", [from_json(item, _depth=depth + 2) for item in value])


def _dict_to_variant(value: dict[str, Any], depth: int) -> Variant:
    _check_depth(depth + 3)
    return Variant("a{sv}", {name: from_json(item, _depth=depth + 3) for name, item in value.items()})


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidValue(f"nested deeper than D-Bus allows ({MAX_DEPTH} levels)")


def _variant_to_json(variant: Variant) -> Any:
    if variant.signature == "g":
        return variant.value or None
    if variant.signature == "h":
        raise InvalidValue("no JSON for a file descriptor")
    return to_json(variant.value)


def _float_to_json(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidValue("no JSON for a number that is not finite")
    return value


def _list_to_json(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    return [to_json(item) for item in value]


def _dict_to_json(value: dict[Any, Any]) -> dict[str, Any]:
    return {name if type(name) is str else _key(name): to_json(item) for name, item in value.items()}


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_FROM_JSON: dict[type, Callable[[Any, int], Variant]] = {
    type(None): lambda _value, _depth: NULL,
    bool: lambda value, _depth: _TRUE if value else _FALSE,
    int: _int_to_variant,
    float: lambda value, _depth: Variant("d", value),
    str: lambda value, _depth: Variant("s", value),
    list: _list_to_variant,
    tuple: _list_to_variant,
    dict: _dict_to_variant,
}

_TO_JSON: dict[type, Callable[[Any], Any]] = {
    Variant: _variant_to_json,
    bool: _same,
    int: _same,
    float: _float_to_json,
    str: _same,
    bytes: _base64,
    list: _list_to_json,
    tuple: _list_to_json,
    dict: _dict_to_json,
}
