"""`guestmux cp`."""

from __future__ import annotations

import os
import posixpath
import stat
import sys
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from guestmux.cli import exits
from guestmux.cli.options import call_timeout, connecting, session_option, talk, wait_agent
from guestmux.cli.output import ReaderGone, warn
from guestmux.cli.progress import progress
from guestmux.cli.transfer import STANDARD, HostFileError, download, replacing, translated, upload
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.errors import CommandFailed
from guestmux.file import GuestFile
from guestmux.guest import Guest

_PREFIXES = ("guest:", ":")

IS_DIRECTORY = "Is a directory"
"""What the guest says of one that is opened to be written (EISDIR)."""


@dataclass
class Copy:
    """What all files of one `cp` share."""

    guest: Guest
    session: str | None
    wait: float | None
    timeout: float | None
    quiet: bool

    async def open(self, path: str, mode: str) -> GuestFile:
        """Open a file of the guest."""
        return await self.guest.open_file(
            path, mode, session=self.session, wait=self.wait, timeout=self.timeout
        )


@click.command(
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux cp report.pdf :/tmp/",
            "guestmux cp -s user:alice photo.jpg notes.txt guest:/home/alice/Desktop",
            "guestmux cp :/var/log/syslog .",
            "guestmux cp :/etc/hosts - | diff - /etc/hosts",
            "guestmux exec -n -- tar -C /etc -c ssh | tar -x",
        ),
    )
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target", metavar="TARGET")
@session_option
@click.option(
    "-q", "--quiet", is_flag=True, help="Show no progress; there is none either where stderr is no terminal."
)
@wait_agent
@call_timeout
@connecting
def cp(
    sources: tuple[str, ...],
    target: str,
    session: str | None,
    quiet: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    """Copy files to the guest, or from it.

    A path of the guest is written :PATH or guest:PATH, and is a full path; any other is the host's, and - is stdin or
    stdout. Several files go into a directory. A file of the host that is called like one of the guest is ./:PATH.

    On the host a file gets its name only when it is complete; in the guest it is written in place, and when the copy
    fails half-way that is said. Owner, mode and times are not copied: a new file belongs to whose agent makes it.
    Directories are not copied; the last example shows how to do that with tar.
    """
    from_guest = [_guest_path(source) is not None for source in sources]
    to_guest = _guest_path(target)
    if any(from_guest) == (to_guest is not None) or not (all(from_guest) or not any(from_guest)):
        raise click.UsageError("either SOURCE or TARGET is the guest's: write it as :PATH")

    async def work(guest: Guest) -> int:
        copy = Copy(guest, session, wait_agent, timeout, quiet)
        status = exits.OK
        for source in sources:
            try:
                if to_guest is not None:
                    await _to_guest(copy, source, to_guest, into=len(sources) > 1)
                else:
                    await _from_guest(copy, _guest_path(source) or "", target, into=len(sources) > 1)
            except BrokenPipeError as error:
                raise ReaderGone from error
            except HostFileError as error:
                warn(error)
                status = exits.FAILED
            except CommandFailed as error:
                warn(f"{source if to_guest is None else target}: {error.desc}")
                status = exits.FAILED
        return status

    talk(work)


def _guest_path(text: str) -> str | None:
    prefix = next((prefix for prefix in _PREFIXES if text.startswith(prefix)), None)
    return None if prefix is None else text.removeprefix(prefix)


async def _to_guest(copy: Copy, source: str, target: str, *, into: bool) -> None:
    with ExitStack() as stack:
        name = Path(source).name
        if source == STANDARD:
            descriptor, total = sys.stdin.fileno(), None
        else:
            descriptor, total = _open_source(source, stack)
        opened, path = await _open_target(copy, name, target, into=into)
        advance = stack.enter_context(progress(source, total, quiet=copy.quiet))
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            advance(count)

        complete = False
        try:
            async with opened:
                await upload(descriptor, source, opened, on_bytes)
            complete = True
        finally:
            if not complete:
                warn(f":{path} in the guest is incomplete: {done} bytes of {source} were written")


def _open_source(source: str, stack: ExitStack) -> tuple[int, int | None]:
    """Open a file of the host; gives its size as well, where it has one."""
    with translated(source):
        descriptor = os.open(source, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise HostFileError(f"{source}: is a directory; see the example with tar in --help")
    return descriptor, status.st_size or None


async def _open_target(copy: Copy, name: str, target: str, *, into: bool) -> tuple[GuestFile, str]:
    """Open the file to write; where TARGET is a directory, the one of this name in it."""
    inside = posixpath.join(target, name)
    if name == STANDARD and target.endswith("/"):
        raise HostFileError(f"{STANDARD} has no name: give the whole path instead of :{target}")
    if into or target.endswith("/"):
        return await copy.open(inside, "w"), inside
    try:
        return await copy.open(target, "w"), target
    except CommandFailed as error:
        if IS_DIRECTORY not in error.desc or name == STANDARD:
            raise
        return await copy.open(inside, "w"), inside


async def _from_guest(copy: Copy, source: str, target: str, *, into: bool) -> None:
    async with AsyncExitStack() as stack:
        file = await stack.enter_async_context(await copy.open(source, "r"))
        if target == STANDARD:
            output = sys.stdout.fileno()
        else:
            path = _host_path(source, target, into=into)
            output = stack.enter_context(replacing(path)).fileno()
        total = None if copy.quiet else await file.size()
        advance = stack.enter_context(progress(source, total, quiet=copy.quiet))
        await download(file, output, target, advance)


def _host_path(source: str, target: str, *, into: bool) -> Path:
    path = Path(target)
    if path.is_dir():
        return path / posixpath.basename(source)
    if into or target.endswith("/"):
        raise HostFileError(f"{target}: is no directory")
    return path
