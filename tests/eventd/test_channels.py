"""Channels that are made, and an eventd that ends before it serves them."""

from __future__ import annotations

import os

import anyio
import pytest

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.channels import Channels
from guestmux_eventd.event_intake import EventIntake
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.identity import Identity
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_transport.bus_exports import IncomingCall

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("begun", [False, True])
async def test_an_end_of_eventd_is_the_end_of_a_channel_that_nobody_served_yet(begun: bool) -> None:
    agents = AgentTable()
    agents.add(Agent(":1.1", "/a", "one", "1", "c1", Identity(1000, 42, "alice"), TokenBucket(1, 1, float)))
    channels = Channels(agents, EventIntake(EventLog("e", float), 1.0), print, print)
    call = IncomingCall(":1.1", "/", "", "AcquireChannel", ["/a", {}], [])
    channels.acquire(call)
    async with anyio.create_task_group() as tasks:
        if begun:
            tasks.start_soon(channels.run)
            await anyio.lowlevel.checkpoint()
        # What was to serve it is cancelled before its first step.
        tasks.cancel_scope.cancel()
    channels.close()
    [theirs] = call.reply_fds
    assert os.read(theirs, 1) == b""
    os.close(theirs)
