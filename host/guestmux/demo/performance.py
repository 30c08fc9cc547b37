"""One performance: the stage set, the host connected, the story played, everything cleared away."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import anyio

import guestmux
from guestmux.demo.errors import leaves
from guestmux.demo.exits import EXIT_HELD, EXIT_INTERRUPTED, EXIT_MISSED, EXIT_NOT_SET_UP
from guestmux.demo.stage import Stage
from guestmux.demo.stage_container import container_stage
from guestmux.demo.stage_private import private_stage
from guestmux.demo.stage_vm import vm_stage
from guestmux.demo.story import Story
from guestmux.demo.view import View
from guestmux.demo.watch import PATIENCE, EventWatch
from guestmux.guest import ADDRESS_VARIABLE

STAGES: Final[dict[str, Callable[[], AbstractAsyncContextManager[Stage]]]] = {
    "private": private_stage,
    "container": container_stage,
    "vm": vm_stage,
}
"""The kinds of guest, as --guest takes them."""


def perform(*, guest: str, keep: bool) -> int:
    """Perform once; returns the exit status.

    Args:
        guest: a key of STAGES.
        keep: leave all running at the end, until Ctrl-C.
    """
    failures: list[BaseException] = []
    status = EXIT_NOT_SET_UP
    try:
        status = anyio.run(_perform_until_interrupted, guest, keep)
    except* guestmux.GuestmuxError as group:
        failures.extend(leaves(group))
    for failure in failures:
        print(f"guestmux.demo: {failure}", file=sys.stderr)
    return status


async def _perform_until_interrupted(guest: str, keep: bool) -> int:
    status = EXIT_INTERRUPTED
    interrupted = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_signal, tasks.cancel_scope, interrupted)
        async with STAGES[guest]() as stage:
            view = View()
            played = await _play(stage, view, shut_down=stage.comes_back or not keep)
            # An act that the interruption cut short is no act that did not hold.
            status = EXIT_INTERRUPTED if interrupted.is_set() else played
            if keep:
                view.commands([*_commands(stage), *await stage.keep_going()])
                await anyio.sleep_forever()
        tasks.cancel_scope.cancel()
    return status


async def _play(stage: Stage, view: View, *, shut_down: bool) -> int:
    view.opening(stage.setting, stage.address)
    watch = EventWatch(view, PATIENCE * stage.pace)
    async with (
        guestmux.connect(stage.address) as guest,
        guest.events() as stream,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(watch.follow, stream)
        story = Story(stage, guest, watch, view)
        await story.play(shut_down=shut_down)
        tasks.cancel_scope.cancel()
    clocks = "" if stage.one_clock else ", by two clocks that do not agree"
    events = f"{watch.latencies}, from eventd's stamp to the host{clocks}"
    view.summary(story.shown, story.missed, events, story.latencies)
    return EXIT_MISSED if story.missed else EXIT_HELD


def _commands(stage: Stage) -> list[tuple[str, str]]:
    first, second = stage.users
    program = shlex.quote(str(Path(sys.executable).with_name("guestmux")))
    return [
        (f"export {ADDRESS_VARIABLE}={shlex.quote(stage.address)}", "which guest; or -c with each command"),
        (f"{program} sessions", "who is logged in"),
        (f"{program} events", "everything as it happens, until ^C; a port takes one program at a time"),
        (f"{program} lock user:{first}", "lock a screen"),
        (f"{program} notify -s user:{second} --action ok=Fine --wait Hello", "wait for a click"),
        (f"{program} call session-get-info --session user:{second}", "any command, in any session"),
        (f"{program} schema", "all commands and events"),
    ]


async def _cancel_on_signal(scope: anyio.CancelScope, interrupted: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _signal in signals:
            interrupted.set()
            scope.cancel()
