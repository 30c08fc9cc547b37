"""What tests ask the stock agent about displays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from tests.support.desktop_agent import DesktopAgent

ROUND_SECONDS = 1.0
"""Seconds between two changes: longer than the agent waits for more of them."""


async def listed(agent: DesktopAgent) -> dict[str, dict[str, Any]]:
    """What session-list-displays says, by name."""
    return {one["name"]: one for one in (await agent.call("session-list-displays"))["displays"]}


async def set_displays(agent: DesktopAgent, *displays: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What session-set-displays says, by name."""
    answer = await agent.call("session-set-displays", displays=[*displays], **more)
    return {one["name"]: one for one in answer["displays"]}


async def watched(agent: DesktopAgent, change: Callable[[int], object], widths: tuple[int, int]) -> None:
    """Have a host subscribe, and change the first display until that is told; it then has the second of the widths."""
    agent.manager.want("DISPLAY_*")
    agent.forget()
    async with anyio.create_task_group() as group:

        async def go_on() -> None:
            while True:
                for width in widths:
                    await anyio.to_thread.run_sync(change, width)
                    await anyio.sleep(ROUND_SECONDS)

        group.start_soon(go_on)
        await agent.until_told("DISPLAY_CHANGED")
        group.cancel_scope.cancel()
    await anyio.to_thread.run_sync(change, widths[1])
    while agent.told[-1][1]["displays"][0]["width"] != widths[1]:
        await agent.manager.changed()
    agent.forget()
