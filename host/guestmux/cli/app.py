"""The root command, and how every command ends."""

from __future__ import annotations

import os
import sys

import click

from guestmux import __version__
from guestmux.cli import exits
from guestmux.cli.cmd_agent import agent
from guestmux.cli.cmd_apps import apps
from guestmux.cli.cmd_call import call
from guestmux.cli.cmd_cat import cat
from guestmux.cli.cmd_clipboard import clipboard
from guestmux.cli.cmd_completion import completion
from guestmux.cli.cmd_cp import cp
from guestmux.cli.cmd_displays import displays
from guestmux.cli.cmd_doctor import doctor
from guestmux.cli.cmd_events import events
from guestmux.cli.cmd_exec import execute
from guestmux.cli.cmd_forward import forward
from guestmux.cli.cmd_fs import fs
from guestmux.cli.cmd_info import info, sessions, users, version
from guestmux.cli.cmd_inhibit import inhibit_idle
from guestmux.cli.cmd_notify import notify, notify_close
from guestmux.cli.cmd_open import open_uri
from guestmux.cli.cmd_os import net, os_command
from guestmux.cli.cmd_ping import ping
from guestmux.cli.cmd_power import reboot, shutdown, suspend
from guestmux.cli.cmd_schema import schema
from guestmux.cli.cmd_session import idle, lock, logout, unlock
from guestmux.cli.cmd_wait import wait
from guestmux.cli.options import connecting
from guestmux.cli.output import ReaderGone, warn
from guestmux.cli.sections import SectionedGroup
from guestmux.cli.usage import EXIT_STATUSES, examples, paragraphs
from guestmux.errors import GuestmuxError, RemoteError

PROGRAM = "guestmux"


@click.group(
    cls=SectionedGroup,
    epilog=paragraphs(
        examples(
            "export GUESTMUX_CONNECT=unix:/run/vm1/guestmux.sock",
            "guestmux ping",
            "guestmux sessions",
            "guestmux events 'SESSION_*'",
            "guestmux lock user:alice",
            "guestmux exec -s user:alice -t -- bash",
            "guestmux cp report.pdf :/tmp/",
            "guestmux call session-get-info --session c2",
        ),
        EXIT_STATUSES,
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@connecting
def root() -> None:
    """Call into the sessions of a virtual machine, and hear its events.

    The guest is named by -c ADDRESS or $GUESTMUX_CONNECT: the unix socket of QEMU's chardev for the port that
    guestmux-eventd serves in the guest. A guest with a stock qemu-ga works as well, as far as that goes.
    """


root.add_section("Sessions", (events, sessions, users, lock, unlock, logout, idle, inhibit_idle, wait))
root.add_section("Desktop", (notify, notify_close, apps, open_uri, clipboard, displays))
root.add_section("Programs and files", (execute, cat, cp, forward))
root.add_section("Guest", (info, os_command, net, fs, shutdown, reboot, suspend, ping))
root.add_section("Agents, and any command", (call, schema, agent))
root.add_section("This program", (doctor, completion, version))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status. No exception and no traceback leaves it.

    Args:
        arguments: those of the process by default.
    """
    try:
        status = root.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except RemoteError as error:
        warn(f"the guest says: {error.desc}")
        return exits.status_of(error)
    except GuestmuxError as error:
        warn(error)
        return exits.status_of(error)
    except ReaderGone:
        # What is still buffered has no reader either, so the exit must not try to write it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.BROKEN_PIPE
    except click.Abort:
        return exits.INTERRUPTED
    return status if isinstance(status, int) else exits.OK
