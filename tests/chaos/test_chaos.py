"""A short chaos: everything is killed and cut at random, and each event accounted for. `make chaos` has more of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.round import play

SECONDS = 15.0
RATE = 5_000
"""Events a second: other tests run beside it."""

SEED = int(os.environ.get("SEED", "7"))


@pytest.mark.anyio
@pytest.mark.timeout(600)
async def test_every_event_comes_once_and_in_order_or_lies_in_a_named_gap(tmp_path: Path) -> None:
    result = await play(tmp_path, SECONDS, SEED, RATE)
    print(result.summary)
    assert not result.account, f"SEED={SEED}: {result.account}\n{result.summary}"
