"""Arguments and results as they come and go on the bus: in the message, or as a sealed memfd where they are large."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from guestmux_session import errors
from guestmux_session.errors import CommandError
from guestmux_transport.bus_exports import IncomingCall
from guestmux_transport.errors import InvalidValue, MethodError, TooLarge
from guestmux_transport.sealed_text import LARGE_BYTES, read_sealed, write_sealed
from guestmux_transport.values import Variant, from_json, to_json


def arguments_of_call(
    call: IncomingCall, untrusted_arguments: dict[str, Variant], untrusted_context: dict[str, Variant]
) -> dict[str, Any]:
    """A command's arguments, not yet validated.

    Raises:
        MethodError: they are not what JSON has, or the memfd with them is bad.
    """
    variant = untrusted_context.get("arguments-fd")
    try:
        if variant is None:
            arguments: dict[str, Any] = to_json(untrusted_arguments)
            return arguments
        return _read(call, variant)
    except (InvalidValue, TooLarge) as error:
        raise MethodError(errors.INVALID_ARGUMENT, str(error)) from error


def result_of_call(call: IncomingCall, plain: Any, text: bytes) -> dict[str, Variant]:
    """A command's result as Agent1.Call returns it.

    Args:
        call: the call; a memfd goes with its answer where the caller takes one.
        plain: the result.
        text: the same as JSON.

    Raises:
        CommandError: it cannot be passed on.
    """
    large = call.body[2].get("large")
    try:
        if len(text) <= LARGE_BYTES or large is None or large.value is not True:
            return {"return": from_json(plain)}
        call.reply_fds.append(write_sealed(text))
    except (InvalidValue, TooLarge) as error:
        raise CommandError(f"the result cannot be passed on: {error}") from error
    return {"return-fd": Variant("h", 0)}


def _read(call: IncomingCall, untrusted_variant: Variant) -> dict[str, Any]:
    if untrusted_variant.signature != "h":
        raise InvalidValue("the context's 'arguments-fd' must be of type h")
    fd = call.take_fd(untrusted_variant.value)
    try:
        arguments = msgspec.json.decode(read_sealed(fd))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(f"the arguments are no JSON: {error}") from error
    finally:
        os.close(fd)
    if type(arguments) is not dict:
        raise InvalidValue("the arguments are no JSON object")
    return arguments
