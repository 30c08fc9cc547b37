"""Messages to bytes and back: checks what the bus would punish, and hides the library's types.

One walk over a body does both. What needs no walk (numbers, arrays of numbers) gets none.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from guestmux_transport import signatures
from guestmux_transport.bus_library import LIBRARY_ERRORS, Library, LibraryMessage
from guestmux_transport.bus_message import Message
from guestmux_transport.errors import InvalidValue, MalformedMessage, TooLarge
from guestmux_transport.names import check_name
from guestmux_transport.values import MAX_DEPTH, Variant

# No array may be over 64 MiB (specification, "Marshaling"); in a message that is not, none is.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# (value, depth of the value) -> what the library takes for it; None = the value as it is.
_Outward = Callable[[Any, int], Any]
_Inward = Callable[[Any], Any]

# One converter for each signature in use; a peer that sends ever new ones only turns old ones out.
_CONVERTERS = 512


class Codec:
    """Encodes and decodes with one library."""

    def __init__(self, library: Library, *, message_bytes: int) -> None:
        """Make one.

        Args:
            library: what to encode with.
            message_bytes: the largest message to encode, at most MAX_MESSAGE_BYTES.
        """
        self.library = library
        self._message_bytes = min(message_bytes, MAX_MESSAGE_BYTES)
        self._outward = lru_cache(maxsize=_CONVERTERS)(self._make_outward)
        self._inward = lru_cache(maxsize=_CONVERTERS)(self._make_inward)

    def encode(self, message: Message) -> bytes | bytearray:
        """Encode a message that the bus will accept.

        Raises:
            InvalidValue: a name, the signature or a value that D-Bus cannot carry, or a body that is not of
                the signature.
            TooLarge: more bytes than the limit.
        """
        _check_names(message)
        types = signatures.split(message.signature)
        if len(types) != len(message.body):
            raise InvalidValue(f"{len(message.body)} values for the signature {message.signature!r}")
        try:
            body = [
                value if (convert := self._outward(type_)) is None else convert(value, 0)
                for type_, value in zip(types, message.body, strict=True)
            ]
            data = self.library.marshal(message, body)
        except LIBRARY_ERRORS as error:
            raise InvalidValue(
                f"the values do not fit the signature {message.signature!r}: {error}"
            ) from error
        if len(data) > self._message_bytes:
            raise TooLarge(f"a message of {len(data)} bytes, at most {self._message_bytes} are allowed")
        return data

    def decode(self, data: bytes, fds: list[int]) -> Message:
        """Decode exactly one whole message.

        Args:
            data: the message.
            fds: the file descriptors that came with it; the message owns them from here on.

        Raises:
            MalformedMessage: it is none; the descriptors stay the caller's.
        """
        try:
            raw = self.library.unmarshal(data)
            body = [
                value if (convert := self._inward(type_)) is None else convert(value)
                for type_, value in zip(signatures.split(raw.signature), raw.body, strict=False)
            ]
        except (*LIBRARY_ERRORS, InvalidValue) as error:
            raise MalformedMessage(
                f"a malformed message of {len(data)} bytes: {type(error).__name__}"
            ) from error
        return _message(raw, body, fds)

    def _make_outward(self, signature: str) -> _Outward | None:
        code = signature[0]
        if code == "a":
            return self._outward_array(signature)
        if code == "(":
            return self._outward_struct(signature)
        if code == "v":
            return self._outward_variant
        return _OUTWARD_BASIC.get(code)

    def _outward_variant(self, value: Variant, depth: int) -> Any:
        if type(value) is not Variant:
            raise InvalidValue(f"a variant is needed, not {type(value).__name__}")
        if depth >= MAX_DEPTH:
            raise _too_deep()
        signature = value.signature
        signatures.check_single(signature)
        convert = self._outward(signature)
        return self.library.variant(
            signature, value.value if convert is None else convert(value.value, depth + 1)
        )

    def _outward_array(self, signature: str) -> _Outward:
        element = signature[1:]
        if element == "y":
            return _outward_bytes
        if element[0] == "{":
            return self._outward_dict(element[1], element[2:-1])
        convert = self._outward(element)

        def array(value: Any, depth: int) -> list[Any]:
            if not isinstance(value, list | tuple):
                raise InvalidValue(f"a list is needed for {signature!r}, not {type(value).__name__}")
            if depth >= MAX_DEPTH and value:
                raise _too_deep()
            return list(value) if convert is None else [convert(item, depth + 1) for item in value]

        return array

    def _outward_dict(self, key_type: str, value_type: str) -> _Outward:
        convert_key = self._outward(key_type) or _as_is
        convert = self._outward(value_type) or _as_is

        def dictionary(value: Any, depth: int) -> dict[Any, Any]:
            if depth + 1 >= MAX_DEPTH and value:
                raise _too_deep()
            inside = depth + 2
            return {convert_key(key, inside): convert(item, inside) for key, item in value.items()}

        return dictionary

    def _outward_struct(self, signature: str) -> _Outward:
        converters = [self._outward(member) or _as_is for member in signatures.split(signature[1:-1])]

        def struct(value: Any, depth: int) -> list[Any]:
            if depth >= MAX_DEPTH:
                raise _too_deep()
            return [convert(item, depth + 1) for convert, item in zip(converters, value, strict=True)]

        return struct

    def _make_inward(self, signature: str) -> _Inward | None:
        code = signature[0]
        if code == "v":
            return self._inward_variant
        if code == "(":
            return self._inward_struct(signature)
        if code != "a":
            return None
        if signature[1] == "y":
            return bytes
        if signature[1] == "{":
            return _inward_dict(self._inward(signature[2]), self._inward(signature[3:-1]))
        element = self._inward(signature[1:])
        return None if element is None else lambda value: [element(item) for item in value]

    def _inward_variant(self, value: Any) -> Variant:
        signature = value.signature
        signatures.check_single(signature)
        convert = self._inward(signature)
        return Variant(signature, value.value if convert is None else convert(value.value))

    def _inward_struct(self, signature: str) -> _Inward:
        converters = [self._inward(member) for member in signatures.split(signature[1:-1])]

        def struct(value: Any) -> tuple[Any, ...]:
            return tuple(
                item if convert is None else convert(item)
                for convert, item in zip(converters, value, strict=True)
            )

        return struct


def _inward_dict(key: _Inward | None, convert: _Inward | None) -> _Inward | None:
    if key is None and convert is None:
        return None
    if key is None and convert is not None:
        return lambda value: {name: convert(item) for name, item in value.items()}
    return lambda value: {(key or _only)(name): (convert or _only)(item) for name, item in value.items()}


def _only(value: Any) -> Any:
    return value


def _as_is(value: Any, _depth: int) -> Any:
    return value


def _too_deep() -> InvalidValue:
    return InvalidValue(f"nested deeper than D-Bus allows ({MAX_DEPTH} levels)")


def _outward_text(value: Any, _depth: int) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"text is needed, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidValue("text with a NUL in it, which D-Bus cannot carry")
    return value


def _outward_path(value: Any, _depth: int) -> str:
    check_name("object path", _outward_text(value, 0))
    return str(value)


def _outward_signature(value: Any, _depth: int) -> str:
    signatures.split(_outward_text(value, 0))
    return str(value)


def _outward_bytes(value: Any, _depth: int) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InvalidValue(f"bytes are needed, not {type(value).__name__}")
    return bytes(value)


_OUTWARD_BASIC: dict[str, _Outward] = {"s": _outward_text, "o": _outward_path, "g": _outward_signature}


def _check_names(message: Message) -> None:
    if message.destination is not None:
        check_name("bus name", message.destination)
    if message.path is not None:
        check_name("object path", message.path)
    if message.interface is not None:
        check_name("interface name", message.interface)
    if message.member is not None:
        check_name("member name", message.member)
    if message.error_name is not None:
        check_name("error name", message.error_name)


def _message(raw: LibraryMessage, body: list[Any], fds: list[int]) -> Message:
    return Message(
        kind=raw.message_type.value,
        serial=raw.serial,
        flags=int(raw.flags),
        reply_serial=raw.reply_serial or 0,
        sender=raw.sender,
        destination=raw.destination,
        path=raw.path,
        interface=raw.interface,
        member=raw.member,
        error_name=raw.error_name,
        signature=raw.signature,
        body=body,
        fds=fds,
    )
