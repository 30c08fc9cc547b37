"""guestmux-session: the stock agent of a user's session, and with --system the machine's."""

from __future__ import annotations

import argparse
import sys

from guestmux_protocol.version import VERSION
from guestmux_session.agent import SYSTEM_BUS
from guestmux_session.session_config import read_session_config
from guestmux_session.stock import SessionAgent
from guestmux_session.system_path import DEFAULT_PATH
from guestmux_transport.allocator import keep_little
from guestmux_transport.logs import configure_logging

DESCRIPTION = """\
Lets the virtual machine's host reach this session: lock and unlock it, end it, show notifications,
ask what it is like. It registers with guestmux-eventd and can do what its user can, nothing more.

It serves what the platform has: locking and logout need logind, notifications need a session bus with
a notification server. What is missing is left out, said so in the log and in session-get-info, and
served as soon as it appears.

With --system it is the machine's agent instead: run by root, it serves what qemu-ga does, as far as
/etc/guestmux/system-agent.toml allows.

`guestmux-session log` shows what left the guest about you, `guestmux-session check-agent NAME` whether an
agent that you wrote does what agents have to; see their own --help.
"""

EPILOG = """\
Run it once in each session: as a systemd --user service, or from the desktop's autostart. eventd finds
out by itself which session it belongs to; --session is for processes outside of every session whose
user has several. It keeps running while eventd or the bus are away, and registers again.

Exit status: 0 after SIGTERM or SIGINT, 2 for a wrong option; with --system also 77 without root, 78 for
a wrong configuration.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="guestmux-session",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--bus",
        metavar="ADDRESS",
        help='the bus that eventd is on: a D-Bus address, or "system" (the default)',
    )
    parser.add_argument(
        "--session",
        default="",
        metavar="ID",
        help="claim this session, logind's id as in `loginctl`; eventd refuses another user's",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="how much to log, to stderr (default: info)",
    )
    system = parser.add_argument_group("the machine's agent")
    system.add_argument("--system", action="store_true", help="be the machine's agent; needs root")
    system.add_argument(
        "--config",
        metavar="FILE",
        help=f"what it allows (default: {DEFAULT_PATH}; must be there)",
    )
    system.add_argument(
        "--check-config", action="store_true", help="check the configuration, say what it allows, exit"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the agent until SIGTERM or SIGINT; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["log"]:
        # Imported here, as what follows: a session's agent has no use for it, and its memory is counted.
        from guestmux_session.log_command import log_main

        return log_main(given[1:])
    if given[:1] == ["check-agent"]:
        from guestmux_session.check_command import check_main

        return check_main(given[1:])
    if given[:1] == ["run-pushed-agent"]:
        from guestmux_session.pushed.launch import launch_main

        return launch_main(given[1:])
    parser = build_parser()
    options = parser.parse_args(given)
    keep_little()
    if options.system:
        if options.session:
            parser.error("--session is for a session's agent, and --system for none")
        from guestmux_session.system_main import system_main

        return system_main(options)
    if options.config or options.check_config:
        parser.error("--config and --check-config are for --system")
    configure_logging(options.log_level or "info")
    config = read_session_config()
    SessionAgent(bus=options.bus or SYSTEM_BUS, session=options.session, config=config).main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
