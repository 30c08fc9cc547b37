"""From options to a running agent: what must be had before it may become a daemon, then the agent, then the end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import MutableMapping

from guestmux_qga.agent import Agent
from guestmux_qga.background import PidFile, fork_away, leave_terminal
from guestmux_qga.channel import OpenablePort, activated, make_port
from guestmux_qga.command_lists import check_lists, make_policy
from guestmux_qga.local_links import LocalLinks
from guestmux_qga.log import configure_log, open_logfile
from guestmux_qga.options import ConfigurationError, Options
from guestmux_qga.own_commands import OWN
from guestmux_qga.verbs import Verbs
from guestmux_transport.pipe_errors import OpenError


def known_commands() -> set[str]:
    """Every command that is served."""
    return {*OWN, *LocalLinks(Verbs(Options()).all).served}


class Service:
    """One run of the program.

    Args:
        options: what was asked for; method and path are set to what systemd hands over.
        environment: where systemd says so; it is not passed on to what hosts start.

    Raises:
        ConfigurationError: the options do not go together.
    """

    def __init__(self, options: Options, environment: MutableMapping[str, str]) -> None:
        self._options = options
        self._activated = activated(options, environment)
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environment.pop(name, None)
        if not self._activated and options.channel_path is None:
            raise ConfigurationError("must specify a path for this channel")
        self._pidfile = PidFile(os.path.abspath(options.pidfile))  # noqa: PTH100 - follows no links

    def run(self) -> None:
        """Serve until a signal comes, or the device is gone for good.

        Raises:
            ConfigurationError: something that the options name cannot be had.
            OpenError: the channel cannot be opened, and `--retry-path` was not given.
        """
        options = self._options
        verbs = Verbs(options)
        links = LocalLinks(verbs.all)
        check_lists(options, {*OWN, *links.served})
        port = make_port(options, is_activated=self._activated)
        self._open(port)
        agent = Agent(port, links, make_policy(options), frozen=verbs.freeze.frozen)
        if options.daemonize:
            fork_away()
        try:
            self._start(agent)
            _run(agent)
        finally:
            self._pidfile.remove()

    def _open(self, port: OpenablePort) -> None:
        try:
            port.open_now()
        except OpenError:
            if not self._options.retry_path:
                raise

    def _start(self, agent: Agent) -> None:
        """Make the files; after the thaw, where file systems are frozen, since a frozen one would hold us up."""
        configure_log(self._options, sys.stderr)
        agent.when_thawed(self._make_files)
        if self._options.daemonize:
            leave_terminal()

    def _make_files(self) -> None:
        if self._options.daemonize:
            self._pidfile.write()
        if self._options.logfile is not None:
            configure_log(self._options, open_logfile(self._options.logfile))


def _run(agent: Agent) -> None:
    # Not asyncio.run(): at its end that waits for threads, and one may wait for a disk or a program for ever.
    asyncio.new_event_loop().run_until_complete(agent.run())
