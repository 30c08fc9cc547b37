"""guestmux-qga: qemu-ga's place, taken by guestmux; see qemu-ga(8) and guestmux-qga(8)."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from guestmux_protocol.errors import GuestmuxError
from guestmux_qga.command_line import Ask, UsageError, read_options
from guestmux_qga.options import dump
from guestmux_qga.service import Service, known_commands
from guestmux_qga.usage import answer
from guestmux_transport.allocator import keep_little

PROGRAM = "guestmux-qga"


def main(arguments: list[str] | None = None) -> int:
    """Run guestmux-qga.

    Returns:
        the exit status: 0 ended by a signal, or the device went; 1 the command line or the configuration is wrong,
        or the channel cannot be opened.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # A signal that comes before the agent is ready ends it as well as later ones do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        return _run(given)
    except UsageError as error:
        print(f"{PROGRAM}: {error}\nTry '{PROGRAM} --help' for more information.", file=sys.stderr)
    except GuestmuxError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    return 1


def _run(arguments: list[str]) -> int:
    options = read_options(arguments, os.environ)
    if isinstance(options, Ask):
        print(answer(options, known_commands()), end="")
        return 0
    service = Service(options, os.environ)
    if options.dump:
        print(dump(options), end="")
        return 0
    keep_little()
    service.run()
    return 0


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def console() -> NoReturn:
    """Run, and leave at once: a thread that waits for a disk or a program must not keep the agent from ending."""
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    console()
