"""The smallest useful agent: one command, one event. Run it in a session: python examples/clock_agent.py."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio

from guestmux_session import Agent, CommandError, Data, Event, command


class Tick(Data, frozen=True):
    """A minute began."""

    now: str


class Clock(Agent):
    name = "org.example.clock"
    version = "1.0"
    ticked = Event("__org.example_TICKED", Tick)

    @command("__org.example_time")
    def time(self, zone: str = "UTC") -> str:
        """Tell the time in a zone, as Europe/Vienna."""
        try:
            return datetime.now(ZoneInfo(zone)).isoformat()
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise CommandError(f"no time zone '{zone}' here") from error

    async def while_registered(self) -> None:
        while True:
            await self.ticked.until_wanted()
            await anyio.sleep(60 - datetime.now().second)
            await self.ticked(Tick(now=datetime.now().isoformat(timespec="seconds")))


if __name__ == "__main__":
    Clock().main()
