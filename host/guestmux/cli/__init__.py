"""The command line `guestmux`."""

from __future__ import annotations

import sys

from guestmux_transport.allocator import keep_little


def main() -> None:
    """Run the command line and exit."""
    try:
        from guestmux.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f"guestmux: the command line needs {error.name}: install guestmux[host]")
    keep_little()
    sys.exit(run())
