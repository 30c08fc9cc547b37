"""An agent with every kind of command, for the SDK's tests."""

import threading
from typing import Any

import anyio

from guestmux_session import Agent, CommandError, Data, Event, command
from guestmux_transport.bus_limits import BusLimits


class Tick(Data, frozen=True, kw_only=True):
    """It ticked."""

    count: int
    unit_name: str = "s"


class Clock(Agent):
    """Counts what happens to it in `hooks`, and lets `gate` hold its waiting commands."""

    name = "org.example.clock"
    version = "1.0"
    max_calls = 4
    bus_limits = BusLimits(message_bytes=1 << 20)
    ticked = Event("__org.example_TICKED", Tick)

    def __init__(self, *, bus: str, session: str = "") -> None:
        super().__init__(bus=bus, session=session)
        self.hooks: list[tuple[str, str]] = []
        self.entered = anyio.Event()
        self.gate = anyio.Event()
        self.cancelled = anyio.Event()
        self.is_registered = anyio.Event()
        self.is_released = anyio.Event()
        self.thread_gate = threading.Event()

    @command("__org.example_time")
    async def time(self, zone: str, *, is_precise: bool = False, offset: int | None = None) -> dict[str, Any]:
        """Tell the time."""
        return {"zone": zone, "precise": is_precise, "offset": offset}

    @command("__org.example_add")
    def add(self, left: int, right: int = 1) -> int:
        """Add."""
        return left + right

    @command("__org.example_tick")
    async def tick(self) -> Tick:
        """Give what an event has."""
        return Tick(count=3)

    @command("__org.example_wait")
    async def wait(self) -> str:
        """Wait for the gate."""
        self.entered.set()
        try:
            await self.gate.wait()
        except BaseException:
            self.cancelled.set()
            raise
        return "opened"

    @command("__org.example_stubborn")
    async def stubborn(self) -> str:
        """Wait for the gate, whoever cancels."""
        self.entered.set()
        with anyio.CancelScope(shield=True):
            while not self.gate.is_set():
                try:
                    await self.gate.wait()
                except BaseException:  # noqa: BLE001 - that is the point
                    continue
        return "opened"

    @command("__org.example_block")
    def block(self) -> str:
        """Block a thread."""
        self.thread_gate.wait()
        return "opened"

    @command("__org.example_fail")
    async def fail(self, text: str) -> None:
        """Fail as meant."""
        raise CommandError(text)

    @command("__org.example_fail_grouped")
    async def fail_grouped(self) -> None:
        """Fail as meant, in a task group."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.fail, "from the group")

    @command("__org.example_crash")
    async def crash(self) -> None:
        """Fail as not meant."""
        raise RuntimeError("secret detail")

    @command("__org.example_value")
    async def value(self, kind: str) -> str | list[int]:
        """Give something, right or wrong."""
        values: dict[str, Any] = {
            "number": 1,
            "object": object(),
            "none": None,
            "large": "x" * (2 << 20),
            "nul": "a\0b",
            "deep": _nested(100),
            "list": [1, 2],
        }
        value: str | list[int] = values[kind]
        return value

    @command("__org.example_number")
    async def number(self, text: str) -> float:
        """Give a number."""
        return float(text)

    async def until_registered(self) -> None:
        """Wait until the agent knows of its registration, a little after eventd does."""
        while not self.session:
            await self.is_registered.wait()

    async def registered(self, session: str) -> None:
        self.is_released = anyio.Event()
        self.is_registered.set()
        self.hooks.append(("registered", session))

    async def released(self, reason: str) -> None:
        self.is_registered = anyio.Event()
        self.is_released.set()
        self.hooks.append(("released", reason))


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value
