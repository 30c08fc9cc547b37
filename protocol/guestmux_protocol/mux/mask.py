"""Keeps a stream's content from being taken for something else when the frames around it are lost.

On a virtio port bytes outlive who should read them: when eventd or the guest starts anew while a host sends DATA, the
rest of its content reaches a parser of QMP, and somebody could have written it so that it is a command. So an end
behind such a port asks for other bytes in place of those of the content, by a table that it draws at random for each
connection. Who writes content does not know it. WebSocket does it for the same reason (RFC 6455, section 10.3).
"""

from __future__ import annotations

from typing import Final

from guestmux_protocol.mux.errors import MuxError

IDENTITY: Final = bytes(range(256))


def check_mask(untrusted_mask: bytes) -> None:
    """Check a mask from the peer.

    Raises:
        MuxError: it is neither empty nor a permutation of the 256 bytes.
    """
    if untrusted_mask and (len(untrusted_mask) != len(IDENTITY) or len(set(untrusted_mask)) != len(IDENTITY)):
        raise MuxError("a mask that is no permutation of the 256 bytes")


def inverse(mask: bytes) -> bytes:
    """The mask that takes a mask off."""
    return bytes.maketrans(mask, IDENTITY)
