"""What the shell offers on Tab, of a guest that has more time than the blink that people wait."""

from __future__ import annotations

import os
import sys

import anyio

from guestmux.guest import ADDRESS_VARIABLE

PROGRAM = """
from guestmux.cli import completing
from guestmux.cli.app import root
completing.PATIENCE = 60.0
root(prog_name="guestmux")
"""


async def completed(address: str, *words: str) -> list[str]:
    """The lines that bash gets for the last of the words, `kind,word` each."""
    asked = {
        ADDRESS_VARIABLE: address,
        "COMP_WORDS": " ".join(["guestmux", *words]),
        "COMP_CWORD": str(len(words)),
        "_GUESTMUX_COMPLETE": "bash_complete",
    }
    done = await anyio.run_process([sys.executable, "-c", PROGRAM], env={**os.environ, **asked})
    return done.stdout.decode().splitlines()
