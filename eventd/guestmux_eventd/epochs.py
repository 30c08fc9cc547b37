"""What names a run of eventd's."""

from __future__ import annotations

import time
import uuid


def new_epoch() -> str:
    """A name that no other run has, here or on a copy of this machine.

    Random, and of the clocks besides: memory that is set back twice draws the same random numbers twice, until its
    kernel mixes in others. Not hashed, for which Python loads OpenSSL.
    """
    clocks = time.time_ns() << 64 | time.monotonic_ns()
    return f"{uuid.uuid4().int ^ clocks:032x}"
