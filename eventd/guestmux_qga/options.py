"""What guestmux-qga was told to do: qemu-ga's options, from its configuration file and its command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from guestmux_protocol.errors import GuestmuxError
from guestmux_qga.keyfile import KeyFileError, as_boolean, as_string, read_key_file, write_group

DEFAULT_CONFIG = "/etc/qemu/qemu-ga.conf"
DEFAULT_METHOD = "virtio-serial"
DEFAULT_PATHS = {"virtio-serial": "/dev/virtio-ports/org.qemu.guest_agent.0", "isa-serial": "/dev/ttyS0"}
DEFAULT_PIDFILE = "/var/run/qemu-ga.pid"
DEFAULT_STATEDIR = "/var/run"
DEFAULT_HOOK = "/etc/qemu/fsfreeze-hook"

METHODS = ("unix-listen", "virtio-serial", "isa-serial", "vsock-listen")
"""The ways to the host."""

_STRINGS = {
    "method": "method",
    "path": "path",
    "logfile": "logfile",
    "pidfile": "pidfile",
    "fsfreeze-hook": "hook",
    "statedir": "statedir",
}
_BOOLEANS = {"daemon": "daemonize", "verbose": "verbose", "retry-path": "retry_path"}
_LISTS = {"block-rpcs": "blocked", "blacklist": "blocked", "allow-rpcs": "allowed"}


class ConfigurationError(GuestmuxError):
    """The configuration, or what it asks for, cannot be had. The text says why."""


@dataclass
class Options:
    """Everything that can be set.

    Attributes:
        method: one of METHODS.
        path: of the device or socket, or `CID:PORT`; None: the method's default.
        logfile: where messages go; None: stderr.
        hook: the program to run around a freeze; None: none.
        blocked: commands to refuse, as written.
        allowed: the only commands not to refuse, as written; empty: all.
        dump: only print the configuration.
        unknown: keys of the configuration file that mean nothing.
    """

    method: str = DEFAULT_METHOD
    path: str | None = None
    logfile: str | None = None
    pidfile: str = DEFAULT_PIDFILE
    hook: str | None = None
    statedir: str = DEFAULT_STATEDIR
    verbose: bool = False
    daemonize: bool = False
    retry_path: bool = False
    blocked: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    dump: bool = False
    unknown: list[str] = field(default_factory=list)

    @property
    def channel_path(self) -> str | None:
        """Where the host is waited for."""
        return self.path if self.path is not None else DEFAULT_PATHS.get(self.method)


def split_list(text: str) -> list[str]:
    """The names in a list as it is written: separated by commas, and by nothing else (split_list in qga/main.c)."""
    return text.split(",") if text else []


def load_file(options: Options, path: str, *, required: bool) -> None:
    """Set what a configuration file says; lists add up, of anything else the last counts.

    Args:
        options: to be changed.
        path: of the file.
        required: whether a missing one is an error.

    Raises:
        ConfigurationError: it cannot be read, or is no key file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        _take(options, read_key_file(text).get("general", {}))
    except FileNotFoundError as error:
        if required:
            raise ConfigurationError(_loading(path, error.strerror)) from error
    except OSError as error:
        raise ConfigurationError(_loading(path, error.strerror)) from error
    except (UnicodeDecodeError, KeyFileError) as error:
        raise ConfigurationError(_loading(path, str(error))) from error


def dump(options: Options) -> str:
    """The configuration as a file that gives it again, in the order of qemu-ga's own dump."""
    values: dict[str, str | bool | None] = {
        "daemon": options.daemonize,
        "method": options.method,
        "path": options.channel_path,
        "logfile": options.logfile,
        "pidfile": options.pidfile,
        "fsfreeze-hook": options.hook,
        "statedir": options.statedir,
        "verbose": options.verbose,
        "retry-path": options.retry_path,
        "block-rpcs": ",".join(options.blocked),
        "allow-rpcs": ",".join(options.allowed),
    }
    return write_group("general", {key: value for key, value in values.items() if value is not None})


def _take(options: Options, values: dict[str, str]) -> None:
    for key, raw in values.items():
        if key in _STRINGS:
            setattr(options, _STRINGS[key], as_string(raw))
        elif key in _BOOLEANS:
            setattr(options, _BOOLEANS[key], as_boolean(raw))
        elif key in _LISTS:
            getattr(options, _LISTS[key]).extend(split_list(as_string(raw)))
        else:
            options.unknown.append(key)


def _loading(path: str, reason: str | None) -> str:
    return f"error loading configuration from path: {path}, {reason}"
