"""What a server dialect makes of the host's bytes: requests to run, and answers that need no running."""

from __future__ import annotations

from msgspec import Struct

from guestmux_protocol.errors import FramingError
from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.messages import GENERIC_ERROR, Request, RequestError, encode_error, parse_request


class Answered(Struct, frozen=True):
    """A request that the dialect answers itself, or bytes that were none; to be sent in its turn.

    Args:
        data: the reply.
    """

    data: bytes


Incoming = Request | Answered


def read_value(untrusted_value: bytes | FramingError, *, oob_allowed: bool) -> Incoming:
    """Turn one framed value into a request or into the error that answers it."""
    if isinstance(untrusted_value, FramingError):
        return Answered(encode_error(GENERIC_ERROR, untrusted_value.desc))
    try:
        return parse_request(decode(untrusted_value), oob_allowed=oob_allowed)
    except JsonError as error:
        return Answered(encode_error(GENERIC_ERROR, error.desc))
    except RequestError as error:
        return Answered(encode_error(GENERIC_ERROR, error.desc, error.id))
