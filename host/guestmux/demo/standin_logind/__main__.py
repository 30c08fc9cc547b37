"""`python -m guestmux.demo.standin_logind --bus ADDRESS`: serve until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

import anyio

from guestmux.demo.errors import leaves
from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.control import WHAT_IT_IS, control_interface
from guestmux.demo.standin_logind.inhibitors import INHIBIT_DELAY_MAX_USEC
from guestmux.demo.standin_logind.manager import manager_interface
from guestmux.demo.standin_logind.server import login_server
from guestmux_transport.bus import connect_bus
from guestmux_transport.errors import BusError

DESCRIPTION = f"""\
guestmux's stand-in for systemd-logind: {WHAT_IT_IS}.
It owns org.freedesktop.login1 on a private bus, and is told through org.guestmux.StandinLogind1 what happens:

  busctl --address=ADDRESS call org.freedesktop.login1 /org/guestmux/StandinLogind1 \\
      org.guestmux.StandinLogind1 Login 'sua{{sv}}' alice 60001 0
"""


async def serve(address: str, *, delay_max_usec: int = INHIBIT_DELAY_MAX_USEC) -> None:
    """Serve on a bus until it is gone. Says "ready" on standard output once the name is taken.

    Args:
        address: the bus's address.
        delay_max_usec: microseconds that shutdown and sleep wait for delay inhibitors.

    Raises:
        BusError: no bus there, or another logind serves on it.
    """
    async with connect_bus(address) as bus, login_server(bus, delay_max_usec=delay_max_usec) as server:
        bus.export(names.MANAGER_PATH, manager_interface(server))
        bus.export(names.CONTROL_PATH, control_interface(server))
        await bus.request_name(names.CONTROL)
        await bus.request_name(names.LOGIN1)
        print("ready", flush=True)
        await bus.wait_lost()


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal or the end of the bus."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
        await serve(options.bus, delay_max_usec=round(options.inhibit_delay_max * 1_000_000))
        tasks.cancel_scope.cancel()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _signal in signals:
            scope.cancel()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="standin_logind", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bus", required=True, metavar="ADDRESS", help="the private bus to serve on")
    parser.add_argument(
        "--inhibit-delay-max",
        type=float,
        default=INHIBIT_DELAY_MAX_USEC / 1_000_000,
        metavar="SECONDS",
        help="how long shutdown and sleep wait for delay inhibitors (default: %(default)g, as logind)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the stand-in; returns the exit status."""
    options = build_parser().parse_args(arguments)
    failures: list[BaseException] = []
    try:
        anyio.run(run, options)
    except* BusError as group:
        failures.extend(leaves(group))
    for failure in failures:
        print(f"standin_logind: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
