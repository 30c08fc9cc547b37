"""Options that many commands share, and the connection that they ask for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import anyio
import click

from guestmux.calls import ACTIVE
from guestmux.cli import exits
from guestmux.cli.completing import complete_sessions
from guestmux.cli.signals import heeded
from guestmux.guest import ADDRESS_VARIABLE, CONNECT_TIMEOUT, Guest, connect
from guestmux.process import SIGNAL_BASE

Function = TypeVar("Function", bound=Callable[..., Any])
Work = Callable[[Guest], Awaitable[int | None]]

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command in an orderly way, as SIGINT does."""

SECONDS = click.FloatRange(min=0)


@dataclass
class Target:
    """Which guest, and how long to try.

    Attributes:
        address: as given; None for $GUESTMUX_CONNECT.
        timeout: seconds to connect.
        mux: whether a guest that can is to speak mux.
    """

    address: str | None = None
    timeout: float = CONNECT_TIMEOUT
    mux: bool = True


def talk(work: Work, *, reconnect: bool = False, patience: float = 0) -> None:
    """Connect to the guest that the options name, do the work, and exit with the status that it gives.

    Args:
        work: what to do.
        reconnect: whether the connection is made anew when it ends.
        patience: seconds in which the guest itself may come, where that is more than the options allow.
    """
    target = click.get_current_context().ensure_object(Target)
    ended_by: list[signal.Signals] = []

    async def session() -> int | None:
        _end_by_signals(ended_by)
        async with connect(
            target.address, timeout=max(target.timeout, patience), reconnect=reconnect, mux=target.mux
        ) as guest:
            return await work(guest)

    try:
        status = anyio.run(session)
    except KeyboardInterrupt:
        status = exits.INTERRUPTED
    except asyncio.CancelledError:
        status = SIGNAL_BASE + ended_by[0]
    if status:
        click.get_current_context().exit(status)


def _end_by_signals(ended_by: list[signal.Signals]) -> None:
    """Let this task be cancelled by a signal, so that what is half done is put away; note which it was."""
    task = asyncio.current_task()
    assert task is not None

    def end(number: signal.Signals) -> None:
        ended_by.append(number)
        task.cancel()

    for number in heeded(ENDING):
        asyncio.get_running_loop().add_signal_handler(number, end, number)


def connecting(function: Function) -> Function:
    """Add the options that say which guest; they are understood before the command's name as well."""
    address = click.option(
        "-c",
        "--connect",
        metavar="ADDRESS",
        expose_value=False,
        callback=_set_address,
        help="The guest: unix:PATH of its port's socket on this host, device:PATH, or vsock:CID:PORT."
        f" Default: ${ADDRESS_VARIABLE}.",
    )
    timeout = click.option(
        "--connect-timeout",
        type=SECONDS,
        metavar="SECONDS",
        expose_value=False,
        callback=_set_timeout,
        help=f"How long to wait for the guest to answer. Default: {CONNECT_TIMEOUT:g}.",
    )
    dialect = click.option(
        "--dialect",
        type=click.Choice(["mux", "qmp"]),
        expose_value=False,
        callback=_set_dialect,
        help="'qmp': stay with JSON, without streams, also where the guest can speak mux.",
    )
    return address(timeout(dialect(function)))


def _set_address(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Target).address = value


def _set_timeout(context: click.Context, _parameter: click.Parameter, value: float | None) -> None:
    if value is not None:
        context.ensure_object(Target).timeout = value


def _set_dialect(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Target).mux = value == "mux"


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

call_timeout = click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="Give the call up after this time. Default: 30."
)

wait_agent = click.option(
    "--wait-agent",
    type=SECONDS,
    metavar="SECONDS",
    help="Wait so long for the session's agent to register. Default: not at all.",
)

session_option = click.option(
    "-s",
    "--session",
    shell_complete=complete_sessions,
    help="Do it in this session, as its user: an id as c2, 'active', or user:NAME. Default: the system agent does it.",
)


def in_session(function: Callable[..., None]) -> Callable[..., None]:
    """Add the session, as an argument or as the option that other commands have; `active` by default."""

    @click.argument("where", required=False, metavar="[SESSION]", shell_complete=complete_sessions)
    @click.option("-s", "--session", shell_complete=complete_sessions, help="The same as SESSION.")
    @wraps(function)
    def with_session(*, where: str | None, session: str | None, **others: Any) -> None:
        if where is not None and session is not None:
            raise click.UsageError("SESSION and --session say the same; give one of them")
        function(session=where or session or ACTIVE, **others)

    return with_session
