"""The D-Bus libraries that are installed here."""

from __future__ import annotations

import importlib.util

from guestmux_transport.bus_library import LIBRARIES


def libraries() -> list[str]:
    """Their names, the default first."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name.replace("-", "_"))]
