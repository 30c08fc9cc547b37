"""`guestmux ping`."""

from __future__ import annotations

from statistics import fmean
from time import perf_counter

import anyio
import click

from guestmux.cli.options import SECONDS, as_json, connecting, talk
from guestmux.cli.output import say, say_json
from guestmux.cli.usage import examples
from guestmux.guest import Guest

TIMEOUT = 5.0
"""Seconds for one reply; eventd takes well under a millisecond."""


@click.command(epilog=examples("guestmux ping", "guestmux ping -n 100 -i 0"))
@click.option(
    "-n", "--count", type=click.IntRange(min=0), default=1, show_default=True, help="How many; 0: until ^C."
)
@click.option("-i", "--interval", type=SECONDS, default=1.0, show_default=True, help="Seconds between two.")
@click.option("--timeout", type=SECONDS, default=TIMEOUT, show_default=True, help="Seconds for each reply.")
@as_json
@connecting
def ping(count: int, interval: float, timeout: float, as_json: bool) -> None:
    """Ask the guest for a sign of life, and tell how long it took.

    Exits with 0 when every ping was answered, with 124 at the first that was not.
    """

    async def work(guest: Guest) -> None:
        times: list[float] = []
        while not count or len(times) < count:
            if times:
                await anyio.sleep(interval)
            times.append(await _ping(guest, timeout))
            if not as_json:
                say(f"reply from {guest.address}: number={len(times)} time={times[-1]:.3f} ms")
        _summarize(times, as_json)

    talk(work)


async def _ping(guest: Guest, timeout: float) -> float:
    """Milliseconds of one round trip."""
    begin = perf_counter()
    await guest.ping(timeout=timeout)
    return (perf_counter() - begin) * 1000


def _summarize(times: list[float], as_json: bool) -> None:
    least, mean, most = min(times), fmean(times), max(times)
    if as_json:
        say_json({"count": len(times), "min-ms": least, "mean-ms": mean, "max-ms": most})
    elif len(times) > 1:
        say(f"{len(times)} replies, round trip min/mean/max = {least:.3f}/{mean:.3f}/{most:.3f} ms")
