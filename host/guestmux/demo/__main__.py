"""`python -m guestmux.demo`: guestmux's main job, live."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Final

from guestmux.demo.exits import EXIT_NOT_SET_UP

NEEDED: Final = {"rich": "host", "click": "host"}
"""Modules that the demo needs, with the extra that brings each."""

DESCRIPTION = """\
Shows guestmux's main job, live, and checks itself: a host hears logins, locks, a crash and a shutdown in a guest's
sessions as they happen, and calls into each session meanwhile.

Without --guest it needs nothing but dbus-daemon. The guest is then this machine: eventd and two users' agents run
on a private bus, with stand-ins for logind and the desktops. As root the users really are two; no account is made.
"""

EPILOG = """\
exit status: 0 everything held, 1 something did not, 2 wrong usage, 3 it could not be set up, 130 Ctrl-C
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m guestmux.demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave it running at the end, and print the commands to try"
    )
    parser.add_argument(
        "--guest",
        choices=["private", "container", "vm"],
        default="private",
        help="container: boot a real Debian guest with systemd-nspawn; vm: in QEMU, emulated, with a real virtio-serial"
        " port (both: root, and a checkout of the source)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    options = build_parser().parse_args(arguments)
    for module, extra in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            print(
                f"guestmux.demo: {module} is not installed: pip install 'guestmux[guest,{extra}]'",
                file=sys.stderr,
            )
            return EXIT_NOT_SET_UP
    from guestmux.demo.performance import perform

    return perform(guest=options.guest, keep=options.keep)


if __name__ == "__main__":
    sys.exit(main())
