"""guestmux-eventd: the command line."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from pathlib import Path
from typing import Any

import anyio

from guestmux_eventd.config import (
    DEFAULT_PATH,
    Config,
    ConfigError,
    check_ports_of_policy,
    make_config,
    read_config,
)
from guestmux_eventd.daemon import Daemon
from guestmux_eventd.watchdog import keep_watchdog_quiet
from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.version import VERSION
from guestmux_transport.allocator import keep_little
from guestmux_transport.logs import configure_logging
from guestmux_transport.sd_notify import notify

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: systemd shows it as CONFIG, and need not restart."""

DESCRIPTION = """\
The guestmux guest daemon: owns the port to the host, routes the host's commands to the agents that are
registered on the system bus (org.guestmux.Manager1), and tells the host of logins, locks and the like.
"""

EPILOG = """\
ports, as DIALECT=ADDRESS:
  qga=virtio:org.qemu.guest_agent.0   speaks as qemu-ga does; silent until asked
  qmp=virtio:org.guestmux.0           speaks QMP: greeting, capabilities, events
  addresses: virtio:NAME  device:PATH  unix-listen:PATH[,mode=0600]  unix-connect:PATH
             vsock-listen:[CID:]PORT[,cid=2]  fd:N

examples:
  guestmux-eventd --check-config
      read the configuration, say what it means, start nothing
  guestmux-eventd --doctor
      say what is installed, running, connected and refused, and what to do about it
  guestmux-eventd --config /dev/null --port qmp=unix-listen:/tmp/g.sock --bus "$DBUS_SESSION_BUS_ADDRESS"
      try it without privilege: then `guestmux -c unix:/tmp/g.sock sessions`

files:
  /etc/guestmux/eventd.toml   the configuration; command line options override it, --port adds to it

exit status:
  0 stopped by SIGTERM or SIGINT   1 cannot run   2 wrong usage   78 the configuration is wrong
  with --doctor: 0 all well   1 problems found
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="guestmux-eventd",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"configuration (default: {DEFAULT_PATH}, which may be missing)",
    )
    parser.add_argument(
        "--port",
        metavar="DIALECT=ADDRESS",
        action="append",
        default=[],
        help="serve a port; may be given several times",
    )
    parser.add_argument("--bus", metavar="ADDRESS", help="`system`, or a D-Bus address")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], help="default: info")
    parser.add_argument(
        "--call-timeout", metavar="SECONDS", type=float, help="time that an agent has for a command (30)"
    )
    parser.add_argument(
        "--emit-rate", metavar="N", type=float, help="events a second that one agent may emit (2000)"
    )
    parser.add_argument("--check-config", action="store_true", help="check the configuration, print it, exit")
    parser.add_argument(
        "--doctor",
        action="store_true",
        help="say what works and what does not, and exit; root sees more than others",
    )
    parser.add_argument("--json", action="store_true", help="with --doctor: print JSON, for programs")
    parser.add_argument("--version", action="version", version=f"guestmux-eventd {VERSION}")
    return parser


def load_config(options: argparse.Namespace) -> Config:
    """The configuration that file and command line give together.

    Raises:
        ConfigError: it cannot be used.
    """
    path = options.config or DEFAULT_PATH
    settings: dict[str, Any] = {}
    if options.config or Path(path).exists():
        settings = read_config(path)
        make_config(settings, path)
    ports = settings.get("port", []) + [_port(text) for text in options.port]
    given = {
        name: getattr(options, name.replace("-", "_"))
        for name in ("bus", "log-level", "call-timeout", "emit-rate")
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    config = make_config({**settings, **overrides, "port": ports}, "configuration")
    check_ports_of_policy(config, path if settings else "configuration")
    return config


def _port(text: str) -> dict[str, str]:
    dialect, equals, address = text.partition("=")
    if not equals:
        raise ConfigError(f"--port {text}: DIALECT=ADDRESS is wanted, as qmp=virtio:org.guestmux.0")
    return {"dialect": dialect, "address": address}


def describe(config: Config) -> str:
    """The configuration in a few lines."""
    lines = [f"port {port.address}: {port.dialect}" for port in config.port] or [
        "no ports: no host can connect"
    ]
    lines += [f"bus {config.bus}", f"call-timeout {config.call_timeout:g} s"]
    lines += [f"policy {rule.describe()}" for rule in config.policy]
    return "\n".join([*lines, *(f"privacy {rule.describe()}" for rule in config.privacy)])


def diagnose(options: argparse.Namespace) -> int:
    """Run the doctor; returns the exit status."""
    # Imported here: the daemon has no use for it, and its memory is counted.
    from guestmux_eventd.doctor.command import run_doctor

    try:
        config: Config | str = load_config(options)
    except (ConfigError, PermissionError) as error:
        config = str(error)
    bus = config.bus if isinstance(config, Config) else options.bus or Config().bus
    return run_doctor(config, options.config or DEFAULT_PATH, bus, json=options.json)


async def run(config: Config) -> None:
    """Run the daemon until a signal stops it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
        tasks.start_soon(keep_watchdog_quiet)
        await Daemon(config).run(lambda: notify("READY=1"))


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _signal in signals:
            notify("STOPPING=1")
            scope.cancel()


def main(arguments: list[str] | None = None) -> int:
    """Run guestmux-eventd.

    Returns:
        the exit status.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.json and not options.doctor:
        parser.error("--json goes with --doctor")
    if options.doctor:
        return diagnose(options)
    try:
        config = load_config(options)
    except ConfigError as error:
        print(f"guestmux-eventd: {error}", file=sys.stderr)
        return EXIT_CONFIG
    if options.check_config:
        print(describe(config))
        return 0
    configure_logging(config.log_level)
    keep_little()
    gc.freeze()  # what is loaded stays: to look through it again takes 10 ms
    failures: list[BaseException] = []
    try:
        anyio.run(run, config)
    except* GuestmuxError as group:
        failures.extend(group.exceptions)
    for failure in failures:
        print(f"guestmux-eventd: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
