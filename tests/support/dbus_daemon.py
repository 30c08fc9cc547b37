"""A private dbus-daemon for tests: its own configuration, its socket in a directory of its own."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# As permissive as a session bus.
POLICY = """
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
"""

# As a system bus decides: answers only to calls that were made.
STRICT_POLICY = """
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
"""

# As in session.conf; the daemon's built-in limits are those of a system bus.
SESSION_LIMITS = {
    "max_incoming_bytes": 1_000_000_000,
    "max_outgoing_bytes": 1_000_000_000,
    "max_message_size": 1_000_000_000,
    "max_completed_connections": 100_000,
    "max_connections_per_user": 100_000,
    "max_names_per_connection": 50_000,
    "max_match_rules_per_connection": 50_000,
    "max_replies_per_connection": 50_000,
}

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  {policy}
  {limits}
</busconfig>
"""


class PrivateBus:
    """A running dbus-daemon.

    Attributes:
        address: for `connect_bus`; the same after `restart`.
        process: the daemon; kill it to see what a lost bus does.
    """

    def __init__(
        self, directory: Path, policy: str, limits: Mapping[str, int], prefix: Sequence[str] = ()
    ) -> None:
        self._prefix = prefix
        self.socket = directory / "bus"
        self.address = f"unix:path={self.socket}"
        self._config = directory / "bus.conf"
        lines = "\n  ".join(f'<limit name="{name}">{value}</limit>' for name, value in limits.items())
        self._config.write_text(_CONFIG.format(socket=self.socket, policy=policy, limits=lines))
        self.process = self._start()

    def restart(self) -> None:
        """Start the daemon anew after `kill`."""
        self.process = self._start()

    def kill(self) -> None:
        """Kill the daemon and wait until it is gone; its socket file is removed, so that `restart` can make it."""
        self.process.kill()
        self._wait()
        self.socket.unlink(missing_ok=True)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep the daemon from running, so that what is sent to it stays in the socket."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the daemon."""
        self.process.terminate()
        self._wait()

    def _start(self) -> "subprocess.Popen[str]":
        command = [
            *self._prefix,
            "dbus-daemon",
            f"--config-file={self._config}",
            "--nofork",
            "--print-address=1",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        # The daemon prints its address once it listens.
        if not _stdout(process).readline():
            process.wait()
            raise RuntimeError("dbus-daemon did not start")
        return process

    def _wait(self) -> None:
        self.process.wait()
        _stdout(self.process).close()


def _stdout(process: "subprocess.Popen[str]") -> IO[str]:
    if process.stdout is None:
        raise RuntimeError("dbus-daemon was started without a pipe")
    return process.stdout


@contextmanager
def private_bus(
    *,
    policy: str = POLICY,
    limits: Mapping[str, int] | None = None,
    owner: int | None = None,
) -> Iterator[PrivateBus]:
    """Run a dbus-daemon for as long as the block lasts.

    Args:
        policy: the <policy> elements; POLICY or STRICT_POLICY.
        limits: <limit> elements by name to set otherwise than SESSION_LIMITS, as
            {"max_replies_per_connection": 128}.
        owner: the user that it runs as, and lets in beside root; only root can give one.
    """
    with tempfile.TemporaryDirectory(prefix="guestmux-bus-") as directory:
        prefix: list[str] = []
        if owner is not None:
            os.chown(directory, owner, owner)
            prefix = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups", "--"]
        bus = PrivateBus(Path(directory), policy, {**SESSION_LIMITS, **(limits or {})}, prefix)
        try:
            yield bus
        finally:
            bus.stop()
