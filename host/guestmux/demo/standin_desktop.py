"""A stand-in for a desktop in one session: its notification server, its screen locker, and the user in front of it.

`python -m guestmux.demo.standin_desktop --session c1 --bus ADDRESS --session-bus ADDRESS`
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
from typing import Final

import anyio
from anyio.abc import TaskGroup

from guestmux.demo.errors import leaves
from guestmux.demo.standin_logind import names
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError
from guestmux_transport.sd_notify import notify

NOTIFICATIONS: Final = "org.freedesktop.Notifications"
NOTIFICATIONS_PATH: Final = "/org/freedesktop/Notifications"

CLICK_AFTER: Final = 1.5
"""Seconds that the user takes to press a notification's first button."""

DISMISSED: Final = 2
"""NotificationClosed's reason (Desktop Notifications Specification 1.2)."""

WHAT_IT_IS: Final = ("guestmux stand-in desktop", "guestmux", "0", "1.2")


class StandinNotifications:
    """The notification server. Its user presses the first button of each notification; one without is left alone."""

    def __init__(self, bus: Bus, tasks: TaskGroup, click_after: float) -> None:
        self._bus = bus
        self._tasks = tasks
        self._click_after = click_after
        self._numbers = itertools.count(1)

    def interface(self) -> Interface:
        """What to export at NOTIFICATIONS_PATH."""
        return Interface(
            NOTIFICATIONS,
            methods={
                "GetServerInformation": ("", "ssss", lambda _call: WHAT_IT_IS),
                "GetCapabilities": ("", "as", lambda _call: (["actions", "body"],)),
                "Notify": ("susssasa{sv}i", "u", self._notify),
                "CloseNotification": ("u", "", lambda _call: ()),
            },
            signals={"ActionInvoked": "us", "NotificationClosed": "uu"},
        )

    def _notify(self, call: IncomingCall) -> Results:
        number = next(self._numbers)
        actions: list[str] = call.body[5]
        if actions:
            self._tasks.start_soon(self._click, number, actions[0])
        return (number,)

    async def _click(self, number: int, key: str) -> None:
        await anyio.sleep(self._click_after)
        self._bus.emit(NOTIFICATIONS_PATH, NOTIFICATIONS, "ActionInvoked", "us", [number, key])
        self._bus.emit(NOTIFICATIONS_PATH, NOTIFICATIONS, "NotificationClosed", "uu", [number, DISMISSED])


class StandinLocker:
    """The screen locker: obeys logind's Lock and Unlock, and says so by the session's LockedHint."""

    def __init__(self, bus: Bus, tasks: TaskGroup, path: str) -> None:
        self._bus = bus
        self._tasks = tasks
        self._path = path

    async def start(self) -> None:
        """Listen for logind.

        Raises:
            BusError: the bus is gone.
        """
        await self._bus.add_signal_handler(
            sender=names.LOGIN1, interface=names.SESSION, path=self._path, handler=self._asked
        )

    def _asked(self, asked: Signal) -> None:
        if asked.member in {"Lock", "Unlock"}:
            self._tasks.start_soon(self._say, asked.member == "Lock")

    async def _say(self, locked: bool) -> None:
        await self._bus.call(names.LOGIN1, self._path, names.SESSION, "SetLockedHint", "b", [locked])


async def serve(options: argparse.Namespace) -> None:
    """Serve until a bus is gone. Says "ready" on standard output, and to systemd where that started it.

    Raises:
        BusError: a bus is gone.
    """
    async with (
        connect_bus(options.bus) as bus,
        connect_bus(options.session_bus) as session_bus,
        anyio.create_task_group() as tasks,
    ):
        found = await bus.call(
            names.LOGIN1, names.MANAGER_PATH, names.MANAGER, "GetSession", "s", [options.session]
        )
        await StandinLocker(bus, tasks, found.body[0]).start()
        server = StandinNotifications(session_bus, tasks, options.click_after)
        session_bus.export(NOTIFICATIONS_PATH, server.interface())
        await session_bus.request_name(NOTIFICATIONS)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        notify("READY=1")
        await session_bus.wait_lost()
        tasks.cancel_scope.cancel()


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal, or the end of the session bus."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
        await serve(options)
        tasks.cancel_scope.cancel()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _signal in signals:
            scope.cancel()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="standin_desktop", description=__doc__)
    parser.add_argument("--bus", required=True, metavar="ADDRESS", help="the system bus, where logind is")
    parser.add_argument("--session-bus", required=True, metavar="ADDRESS", help="the session's own bus")
    parser.add_argument("--session", required=True, metavar="ID", help="logind's id of the session")
    parser.add_argument(
        "--click-after",
        type=float,
        default=CLICK_AFTER,
        metavar="SECONDS",
        help="when the user presses a notification's first button (default: %(default)g)",
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
        print(f"standin_desktop: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
