"""How our own file commands are told a path: as text, or as base64 where it is none."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, UnsetType

from guestmux_protocol.registry import Arguments, doc

Base64Path: TypeAlias = Annotated[
    str | UnsetType, doc("In its place, as base64: for a name that is no UTF-8.")
]


class OnePath(Arguments, frozen=True):
    """Base of the arguments that name one file."""

    path: Annotated[str | UnsetType, doc("Full path.")] = UNSET
    path_b64: Base64Path = UNSET
