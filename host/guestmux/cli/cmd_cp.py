"""`guestmux cp`."""

from __future__ import annotations

import os
import posixpath
import stat
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from guestmux.cli import exits
from guestmux.cli.copy_display import CopyDisplay, copy_display
from guestmux.cli.options import call_timeout, connecting, session_option, talk, wait_agent
from guestmux.cli.output import ReaderGone, warn
from guestmux.cli.transfer import STANDARD, pour, read_all, translated, upload
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.copying import CopyFailed, CopyIncomplete, CopyReport, LocalFileError
from guestmux.errors import CommandFailed, StreamFailed
from guestmux.file import GuestFile
from guestmux.guest import Guest
from guestmux.handle_copy import IS_DIRECTORY

_PREFIXES = ("guest:", ":")


@dataclass
class Copy:
    """What all files of one `cp` share.

    Attributes:
        guest: which.
        routing: whose agent, and how long.
        how: the options of a copy.
        display: shows it.
        report: what was done so far.
    """

    guest: Guest
    routing: dict[str, Any]
    how: dict[str, Any]
    display: CopyDisplay
    report: CopyReport = field(default_factory=CopyReport)

    async def open(self, path: str, mode: str) -> GuestFile:
        """Open a file of the guest."""
        return await self.guest.open_file(path, mode, **self.routing)

    def add(self, report: CopyReport) -> None:
        """Count what one source's copy did."""
        self.report.files += report.files
        self.report.directories += report.directories
        self.report.symlinks += report.symlinks
        self.report.bytes += report.bytes


@click.command(
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux cp report.pdf :/tmp/",
            "guestmux cp -s user:alice photo.jpg notes.txt guest:/home/alice/Desktop",
            "guestmux cp -rp :/etc/ssh backup/",
            "guestmux cp --resume disk.img :/srv/disk.img",
            "guestmux cp :/etc/hosts - | diff - /etc/hosts",
        ),
    )
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path())
@click.argument("target", metavar="TARGET", type=click.Path())
@click.option(
    "-r", "-R", "--recursive", is_flag=True, help="Copy directories with what is in them. Links stay links."
)
@click.option(
    "-p",
    "--preserve",
    is_flag=True,
    help="Keep permissions and times; and owners, by number, where the writing side is root.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with what an earlier copy left, as far as checksums of both ends agree; leave out what is whole.",
)
@click.option("--no-checksum", is_flag=True, help="Do not compare checksums of what was sent and what came.")
@click.option(
    "--sparse",
    type=click.Choice(["auto", "never"]),
    default="auto",
    metavar="auto|never",
    help="Send no holes, and keep them; or send them as zeros. Default: auto.",
)
@session_option
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")
@wait_agent
@call_timeout
@connecting
def cp(
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    preserve: bool,
    resume: bool,
    no_checksum: bool,
    sparse: str,
    session: str | None,
    quiet: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    """Copy files and directories to the guest, or from it.

    A path of the guest is written :PATH or guest:PATH, and is a full path; any other is the host's, and - is stdin or
    stdout. Several sources go into a directory. A file of the host that is called like one of the guest is ./:PATH.

    A file gets its name only when it is whole and the checksums of both ends agree; until then it is called
    .NAME.guestmux-part, beside its place. When a copy fails, or is interrupted, that is left, and --resume goes on
    with it.

    A new file has the permissions of its source, less the umask; one that is replaced keeps its own. Setuid and setgid
    bits, access control lists and extended attributes are not copied. Devices, sockets and FIFOs in a directory are
    left out. One that cannot be copied is told, the others are copied, and the exit status is 1.

    With a guest whose port carries no streams (a qga port, or a stock qemu-ga) single files are copied, in the guest
    in place, and none of the options works.
    """
    from_guest = [_guest_path(source) is not None for source in sources]
    to_guest = _guest_path(target)
    if any(from_guest) == (to_guest is not None) or not (all(from_guest) or not any(from_guest)):
        raise click.UsageError("either SOURCE or TARGET is the guest's: write it as :PATH")

    async def work(guest: Guest) -> int:
        routing = {"session": session, "wait": wait_agent, "timeout": timeout}
        how: dict[str, Any] = {
            "recursive": recursive,
            "preserve": preserve,
            "resume": resume,
            "checksum": not no_checksum,
            "sparse": sparse == "auto",
        }
        with copy_display(to_guest=to_guest is not None, many=recursive, quiet=quiet) as display:
            copy = Copy(guest, routing, how, display)
            status = await _copy_all(copy, sources, to_guest, target)
            display.sum_up(copy.report)
        return status

    talk(work)


def _guest_path(text: str) -> str | None:
    prefix = next((prefix for prefix in _PREFIXES if text.startswith(prefix)), None)
    return None if prefix is None else text.removeprefix(prefix)


async def _copy_all(copy: Copy, sources: tuple[str, ...], to_guest: str | None, target: str) -> int:
    status = exits.OK
    into = len(sources) > 1
    for source in sources:
        try:
            if to_guest is not None:
                await _to_guest(copy, source, to_guest, into=into)
            else:
                await _from_guest(copy, _guest_path(source) or "", target, into=into)
        except BrokenPipeError as error:
            raise ReaderGone from error
        except CopyIncomplete as error:
            # Each failure was told when it happened.
            copy.add(error.report)
            status = exits.FAILED
        except (CopyFailed, LocalFileError) as error:
            warn(error)
            status = exits.FAILED
        except (CommandFailed, StreamFailed) as error:
            warn(f"{source if to_guest is None else target}: {error.desc}")
            status = exits.FAILED
    return status


async def _to_guest(copy: Copy, source: str, target: str, *, into: bool) -> None:
    if not _is_stream(source):
        how = {**copy.how, "into": into}
        copy.add(await copy.guest.upload(source, target, **how, **copy.routing, watcher=copy.display))
        return
    if source == STANDARD and copy.guest.has_streams:
        if into or target.endswith("/"):
            raise LocalFileError(f"{STANDARD} has no name: give the whole path instead of :{target}")
        pieces = read_all(sys.stdin.fileno(), "stdin")
        copy.add(await copy.guest.upload(pieces, target, **copy.how, **copy.routing, watcher=copy.display))
        return
    with ExitStack() as stack:
        if source == STANDARD:
            descriptor = sys.stdin.fileno()
        else:
            with translated(source):
                descriptor = os.open(source, os.O_RDONLY)
            stack.callback(os.close, descriptor)
        await _pour(copy, descriptor, source, *await _open_target(copy, source, target, into=into))


async def _pour(copy: Copy, descriptor: int, source: str, opened: GuestFile, path: str) -> None:
    """Write what a descriptor gives to a file in the guest, in place."""
    copy.display.began(source, None)
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        copy.display.moved(source, count)

    complete = False
    try:
        async with opened:
            await upload(descriptor, source, opened, on_bytes)
        complete = True
    finally:
        copy.display.ended(source)
        if not complete:
            warn(f":{path} in the guest is incomplete: {done} bytes of {source} were written")
    copy.add(CopyReport(files=1, bytes=done))


async def _open_target(copy: Copy, source: str, target: str, *, into: bool) -> tuple[GuestFile, str]:
    """Open the file to write; where TARGET is a directory, the one of this name in it."""
    inside = posixpath.join(target, Path(source).name)
    if source == STANDARD and target.endswith("/"):
        raise LocalFileError(f"{STANDARD} has no name: give the whole path instead of :{target}")
    if into or target.endswith("/"):
        return await copy.open(inside, "w"), inside
    try:
        return await copy.open(target, "w"), target
    except CommandFailed as error:
        if IS_DIRECTORY not in error.desc or source == STANDARD:
            raise
        return await copy.open(inside, "w"), inside


async def _from_guest(copy: Copy, source: str, target: str, *, into: bool) -> None:
    if not _is_stream(target):
        how = {**copy.how, "into": into}
        copy.add(await copy.guest.download(source, target, **how, **copy.routing, watcher=copy.display))
        return
    with ExitStack() as stack:
        if target == STANDARD:
            descriptor = sys.stdout.fileno()
        else:
            with translated(target):
                descriptor = os.open(target, os.O_WRONLY)
            stack.callback(os.close, descriptor)
        await pour(copy.guest, source, descriptor, target, copy.routing)


def _is_stream(path: str) -> bool:
    """Whether a path of the host is no file that can be renamed: stdin, stdout, a FIFO, a device."""
    if path == STANDARD:
        return True
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 - it may be no path
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
