"""What the adapter lets through, a real dbus-daemon accepts; right beyond it, the daemon would disconnect us."""

from typing import Any

import pytest

from guestmux_transport import bus_codec, values
from guestmux_transport.bus import Bus
from guestmux_transport.errors import BusLost, InvalidValue
from guestmux_transport.values import MAX_DEPTH, Variant, object_from_json, to_json
from tests.support.bus_names import ask, offer, ping

pytestmark = pytest.mark.anyio


def nested(levels: int, value: Any, wrap: Any) -> Any:
    for _ in range(levels):
        value = wrap(value)
    return value


def in_variant(value: Variant) -> Variant:
    return Variant("v", value)


def in_object(value: Any) -> dict[str, Any]:
    return {"a": value}


# The daemon lets arrays of numbers be one level deeper; dbus-fast does not decode that, so nor do we send it.
# (what is the deepest allowed, what is one too deep), as the argument of a method taking "v" or "a{sv}".
DEEPEST = [
    ("v", nested(MAX_DEPTH - 1, Variant("i", 1), in_variant), nested(MAX_DEPTH, Variant("i", 1), in_variant)),
    (
        "v",
        nested(MAX_DEPTH - 2, Variant("as", ["a"]), in_variant),
        nested(MAX_DEPTH - 1, Variant("as", ["a"]), in_variant),
    ),
    (
        "v",
        nested(MAX_DEPTH - 3, Variant("a{si}", {"a": 1}), in_variant),
        nested(MAX_DEPTH - 2, Variant("a{si}", {"a": 1}), in_variant),
    ),
    (
        "v",
        nested(MAX_DEPTH - 2, Variant("(i)", (1,)), in_variant),
        nested(MAX_DEPTH - 1, Variant("(i)", (1,)), in_variant),
    ),
]


@pytest.mark.parametrize(("signature", "deepest", "too_deep"), DEEPEST)
async def test_the_deepest_value_gets_through_and_no_deeper_is_sent(
    client: Bus, service: Bus, signature: str, deepest: Any, too_deep: Any
) -> None:
    offer(service, "Echo", signature, signature, lambda call: call.body)
    assert (await ask(client, service, "Echo", signature, [deepest])).body == [deepest]
    with pytest.raises(InvalidValue, match="deeper"):
        await ask(client, service, "Echo", signature, [too_deep])
    await ping(client)


@pytest.mark.parametrize(("signature", "deepest", "too_deep"), DEEPEST)
async def test_the_daemon_disconnects_whoever_sends_deeper(
    client: Bus, service: Bus, monkeypatch: pytest.MonkeyPatch, signature: str, deepest: Any, too_deep: Any
) -> None:
    monkeypatch.setattr(bus_codec, "MAX_DEPTH", MAX_DEPTH + 10)
    with pytest.raises(BusLost):
        await ask(client, service, "Echo", signature, [too_deep])


async def test_json_of_twenty_objects_in_one_another_gets_through(client: Bus, service: Bus) -> None:
    offer(service, "Echo", "a{sv}", "a{sv}", lambda call: call.body)
    value = nested(20, 1, in_object)
    reply = await ask(client, service, "Echo", "a{sv}", [object_from_json({"value": value})])
    assert to_json(reply.body[0]) == {"value": value}
    with pytest.raises(InvalidValue, match="deeper"):
        object_from_json({"value": nested(21, 1, in_object)})


async def test_the_bound_on_json_is_the_daemons(
    client: Bus, service: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bus_codec, values):
        monkeypatch.setattr(module, "MAX_DEPTH", MAX_DEPTH + 10)
    with pytest.raises(BusLost):
        await ask(client, service, "Echo", "a{sv}", [object_from_json({"value": nested(21, 1, in_object)})])


async def test_a_nul_would_disconnect_us(client: Bus, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Newer versions of dbus-fast refuse it themselves; either way it must not reach the daemon."""
    monkeypatch.setitem(bus_codec._OUTWARD_BASIC, "s", lambda value, _depth: value)
    with pytest.raises((BusLost, InvalidValue)):
        await ask(client, client, "Echo", "s", ["nul\0"])


async def test_a_path_with_a_newline_would_disconnect_us(
    client: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_codec, "check_name", lambda _kind, _name: None)
    with pytest.raises(BusLost):
        await ask(client, client, "Echo", "o", ["/newline\n"])


async def test_the_longest_signature_gets_through(client: Bus, service: Bus) -> None:
    offer(service, "Echo", "v", "v", lambda call: call.body)
    value = Variant("(" + "y" * 253 + ")", (1,) * 253)
    assert (await ask(client, service, "Echo", "v", [value])).body == [value]
