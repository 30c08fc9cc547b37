from __future__ import annotations

import asyncio

import pytest

from guestmux_transport.flag import Flag
from tests.support.pipes import turns

pytestmark = pytest.mark.anyio


async def test_all_who_wait_go_on_even_if_it_is_cleared_at_once() -> None:
    flag = Flag()
    assert repr(flag) == "<Flag unset>"
    waiting = [asyncio.ensure_future(flag.wait()) for _ in range(3)]
    await turns()
    assert not any(task.done() for task in waiting)
    flag.set()
    flag.clear()
    await asyncio.gather(*waiting)
    late = asyncio.ensure_future(flag.wait())
    await turns()
    assert not late.done()
    flag.set()
    await late


async def test_nobody_waits_for_what_is_set() -> None:
    flag = Flag()
    flag.set()
    assert flag.is_set()
    assert repr(flag) == "<Flag set>"
    await flag.wait()
