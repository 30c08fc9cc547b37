"""`python -m tests.chaos --minutes N`: kill everything at random under load, and account for every event.

Rounds of a few minutes, each a new world with the next seed. The first that goes wrong ends it: what is wrong is told
with what was done around that time, and the files are kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import anyio

from tests.chaos.round import play

ROUND_SECONDS = 180.0
"""For a round: eventd starts a hundred times in it, and remembers a thousand starts."""

MAX_SEED = 1_000_000


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(MAX_SEED))
    parser.add_argument("--rate", type=int, default=20_000, help="events a second that agents emit, in sum")
    options = parser.parse_args()
    left, seed = options.minutes * 60, options.seed
    while left > 0:
        seconds = min(left, ROUND_SECONDS)
        print(f"==> {time.strftime('%H:%M:%S')}: {seconds:.0f} s, SEED={seed}", flush=True)
        directory = Path(tempfile.mkdtemp(prefix="guestmux-chaos-"))
        result = anyio.run(play, directory, seconds, seed, options.rate)
        print(result.summary, flush=True)
        if result.account:
            print(f"FAILED with SEED={seed}; files in {directory}\n{result.account}")
            return 1
        shutil.rmtree(directory)
        left, seed = left - seconds, seed + 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
