"""What a change of the tables is to be told on the bus. The tables decide, the server performs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal to emit."""

    path: str
    interface: str
    member: str
    signature: str = ""
    body: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """Properties whose new values go out in one PropertiesChanged, none of them invalidated, as logind does."""

    path: str
    interface: str
    properties: tuple[str, ...]


Effect: TypeAlias = Signal | Changed
