"""`guestmux fs`: the guest's file systems, frozen for a snapshot, thawed, trimmed, listed."""

from __future__ import annotations

import click
from msgspec import UNSET

from guestmux.cli.frozen_run import FrozenRun
from guestmux.cli.options import SECONDS, as_json, call_timeout, connecting, talk
from guestmux.cli.output import say, say_json, say_table
from guestmux.cli.sizes import share, size
from guestmux.cli.usage import examples
from guestmux.freeze_calls import FREEZE_TIMEOUT, THAW_TIMEOUT, TRIM_TIMEOUT
from guestmux.guest import Guest
from guestmux_protocol.guest.freeze import GuestFilesystemTrimResult
from guestmux_protocol.guest.storage import GuestFilesystemInfo


@click.group()
@connecting
def fs() -> None:
    """Freeze, thaw, trim and list the guest's file systems."""


@fs.command(
    "freeze",
    epilog=examples(
        "guestmux fs freeze --run 'virsh snapshot-create-as vm1 nightly --disk-only' --limit 60",
        "guestmux fs freeze /srv && take-a-snapshot; guestmux fs thaw",
    ),
)
@click.argument("mountpoints", nargs=-1, metavar="[MOUNTPOINT]...")
@click.option(
    "--run", "command", metavar="COMMAND", help="Freeze, run this shell command of the host, and thaw."
)
@click.option(
    "--limit", type=SECONDS, metavar="SECONDS", help="With --run: thaw after this time in any case."
)
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=FREEZE_TIMEOUT,
    show_default=True,
    help="How long freezing may take.",
)
@connecting
def freeze(mountpoints: tuple[str, ...], command: str | None, limit: float | None, timeout: float) -> None:
    """Freeze file systems, those at each MOUNTPOINT or all, so that a snapshot of the disks is consistent.

    With --run they are thawed when COMMAND has ended, and also when it fails, --limit passes, guestmux is interrupted
    or terminated, or the connection was lost and is back. The exit status is COMMAND's; 124 where --limit ended it.

    Without --run they stay frozen until `guestmux fs thaw`. Meanwhile whatever writes in the guest stands still, and
    the guest takes hardly any command.
    """
    if limit is not None and command is None:
        raise click.UsageError("--limit goes with --run: nobody is there to thaw otherwise")

    async def work(guest: Guest) -> int | None:
        if command is not None:
            return await FrozenRun(guest, mountpoints, command, limit, timeout).run()
        count = await guest.freeze(mountpoints, timeout=timeout)
        say(f"frozen: {count}; until: guestmux fs thaw")
        return None

    talk(work, reconnect=command is not None)


@fs.command("thaw")
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=THAW_TIMEOUT,
    show_default=True,
    help="How long thawing may take.",
)
@connecting
def thaw(timeout: float) -> None:
    """Thaw every file system that is frozen. Does no harm where none is."""

    async def work(guest: Guest) -> None:
        say(f"thawed: {await guest.thaw(timeout=timeout)}")

    talk(work)


@fs.command("status")
@call_timeout
@connecting
def status(timeout: float | None) -> None:
    """Print 'frozen' or 'thawed'."""

    async def work(guest: Guest) -> None:
        say(await guest.freeze_status(timeout=timeout))

    talk(work)


@fs.command("trim", epilog=examples("guestmux fs trim", "guestmux fs trim --minimum 1048576"))
@click.option(
    "--minimum",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="Leave shorter free ranges alone, which is faster.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=TRIM_TIMEOUT,
    show_default=True,
    help="How long trimming may take.",
)
@as_json
@connecting
def trim(minimum: int | None, timeout: float, as_json: bool) -> None:
    """Hand the blocks that the guest's file systems do not use back to the host."""

    async def work(guest: Guest) -> None:
        found = await guest.trim(minimum, timeout=timeout)
        if as_json:
            say_json(found)
        else:
            say_table(("MOUNTPOINT", "TRIMMED", "NOTE"), map(_trim_row, found))

    talk(work)


def _trim_row(result: GuestFilesystemTrimResult) -> tuple[str, ...]:
    return result.path, size(result.trimmed), "-" if result.error is UNSET else str(result.error)


@fs.command("list", epilog=examples("guestmux fs list"))
@as_json
@call_timeout
@connecting
def list_filesystems(as_json: bool, timeout: float | None) -> None:
    """List the mounted file systems that lie on disks."""

    async def work(guest: Guest) -> None:
        found = await guest.filesystems(timeout=timeout)
        if as_json:
            say_json(found)
            return
        found.sort(key=lambda filesystem: filesystem.mountpoint)
        say_table(("MOUNTPOINT", "DEVICE", "TYPE", "SIZE", "USED", "USE"), map(_row, found))

    talk(work)


def _row(filesystem: GuestFilesystemInfo) -> tuple[str, ...]:
    return (
        filesystem.mountpoint,
        filesystem.name,
        filesystem.type,
        size(filesystem.total_bytes),
        size(filesystem.used_bytes),
        share(filesystem.used_bytes, filesystem.total_bytes),
    )
