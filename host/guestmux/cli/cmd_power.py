"""`guestmux shutdown`, `reboot`, `suspend`."""

from __future__ import annotations

from typing import cast

import click

from guestmux.cli.options import SECONDS, connecting, talk
from guestmux.cli.usage import examples, paragraphs
from guestmux.guest import Guest
from guestmux.power_calls import GONE_TIMEOUT, SuspendMode

WAITING = (
    "Without --no-wait it waits until the guest is gone; after --timeout seconds the exit status is 124."
)

no_wait = click.option("--no-wait", is_flag=True, help="Return when the guest has taken the command.")
gone_timeout = click.option(
    "--timeout",
    type=SECONDS,
    default=GONE_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long the guest may take to go.",
)


@click.command(
    epilog=paragraphs(WAITING, examples("guestmux shutdown --timeout 300", "guestmux shutdown --no-wait"))
)
@click.option("--halt", is_flag=True, help="Stop it, but leave the power on.")
@no_wait
@gone_timeout
@connecting
def shutdown(halt: bool, no_wait: bool, timeout: float) -> None:
    """Shut the guest down in an orderly way.

    It is gone when the connection ends or when nobody answers any more.
    """

    async def work(guest: Guest) -> None:
        await guest.shutdown("halt" if halt else "powerdown", until_gone=not no_wait, timeout=timeout)

    talk(work)


@click.command(
    epilog=paragraphs(
        WAITING, examples("guestmux reboot && guestmux --connect-timeout 120 wait session user:alice")
    )
)
@no_wait
@gone_timeout
@connecting
def reboot(no_wait: bool, timeout: float) -> None:
    """Reboot the guest.

    It waits until the guest is gone, not until it is back: the next command does that with --connect-timeout.
    """

    async def work(guest: Guest) -> None:
        await guest.reboot(until_gone=not no_wait, timeout=timeout)

    talk(work)


@click.command(epilog=paragraphs(WAITING, examples("guestmux suspend", "guestmux suspend --mode disk")))
@click.option(
    "--mode",
    type=click.Choice(["ram", "disk", "hybrid"]),
    default="ram",
    show_default=True,
    help="Where its memory stays; disk: and the power goes off; hybrid: both.",
)
@no_wait
@gone_timeout
@connecting
def suspend(mode: str, no_wait: bool, timeout: float) -> None:
    """Put the guest to sleep. QEMU's system_wakeup (virsh dompmwakeup) wakes it.

    It sleeps when it has said that it goes to sleep, or when nobody answers any more.
    """

    async def work(guest: Guest) -> None:
        await guest.suspend(cast("SuspendMode", mode), until_gone=not no_wait, timeout=timeout)

    talk(work)
