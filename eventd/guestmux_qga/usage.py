"""What is printed on request."""

from __future__ import annotations

from collections.abc import Iterable

from guestmux_protocol.version import VERSION
from guestmux_qga.command_line import Ask
from guestmux_qga.options import (
    DEFAULT_CONFIG,
    DEFAULT_HOOK,
    DEFAULT_PATHS,
    DEFAULT_PIDFILE,
    DEFAULT_STATEDIR,
)

HELP = f"""\
Usage: guestmux-qga [-m <method> -p <path>] [<options>]
guestmux {VERSION}, with the command line of the QEMU guest agent

  -m, --method      transport method: one of unix-listen, virtio-serial,
                    isa-serial, or vsock-listen (virtio-serial is the default)
  -p, --path        device/socket path (the default for virtio-serial is:
                    {DEFAULT_PATHS["virtio-serial"]},
                    the default for isa-serial is:
                    {DEFAULT_PATHS["isa-serial"]}).
                    Socket addresses for vsock-listen are written as
                    <cid>:<port>, or as <port> alone; only the host (cid 2) is
                    let in, or who else is named by ,cid=N behind it.
  -l, --logfile     set logfile path, logs to stderr by default
  -f, --pidfile     specify pidfile (default is {DEFAULT_PIDFILE})
  -F, --fsfreeze-hook
                    enable fsfreeze hook. Accepts an optional argument that
                    specifies script to run on freeze/thaw. Script will be
                    called with 'freeze'/'thaw' arguments accordingly.
                    (default is {DEFAULT_HOOK})
                    If using -F with an argument, do not follow -F with a
                    space.
                    (for example: -F/var/run/fsfreezehook.sh)
  -t, --statedir    specify dir to store state information (absolute paths
                    only, default is {DEFAULT_STATEDIR})
  -v, --verbose     log extra debugging information
  -V, --version     print version information and exit
  -d, --daemonize   become a daemon
  -b, --block-rpcs  comma-separated list of RPCs to disable (no spaces,
                    use "help" to list available RPCs)
  -a, --allow-rpcs  comma-separated list of RPCs to enable (no spaces,
                    use "help" to list available RPCs)
  -c, --config      configuration file path (default is
                    {DEFAULT_CONFIG}, or what QGA_CONF says)
  -D, --dump-conf   dump a qemu-ga config file based on current config
                    options / command-line parameters to stdout
  -r, --retry-path  attempt re-opening path if it's unavailable or closed
                    due to an error which may be recoverable in the future
                    (virtio-serial driver re-install, serial device hot
                    plug/unplug, etc.)
  -h, --help        display this help and exit

A list with a name that is no command, or with names that are not separated by
commas, is refused.
"""


def answer(ask: Ask, commands: Iterable[str]) -> str:
    """What to print.

    Args:
        ask: what was asked for.
        commands: those that are served.
    """
    if ask is Ask.COMMANDS:
        return "".join(f"{name}\n" for name in sorted(commands))
    return HELP if ask is Ask.HELP else f"guestmux-qga {VERSION}\n"
