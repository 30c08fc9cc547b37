"""The system agent's configuration, system-agent.toml. A file written wrongly refuses to start, and opens no door."""

from __future__ import annotations

import difflib
import fnmatch
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from guestmux_protocol.errors import GuestmuxError
from guestmux_session.verbs.freeze_hooks import HOOK_SECONDS

HOOKS = ("/etc/qemu/fsfreeze-hook", "/etc/guestmux/fsfreeze-hook.d")
"""qemu-ga's program, as `qemu-ga -F` runs it, and our folder of programs."""

MAX_PATTERNS = 256
"""Patterns of one list: more than there are commands."""

_FREEZING = ("guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list")
_THAW = "guest-fsfreeze-thaw"

Patterns = Annotated[list[str], Meta(max_length=MAX_PATTERNS)]


class ConfigError(GuestmuxError):
    """The configuration cannot be used. The text names the place and what is accepted."""


class SystemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Everything that can be set.

    Args:
        bus: a D-Bus address, or `system`.
        log_level: what is logged.
        allow: globs over commands; where it is given, what none of them matches is switched off.
        deny: globs over commands to switch off, whatever allows them.
        fsfreeze_hooks: programs, and folders of programs, that run before a freeze and after a thaw.
        fsfreeze_hook_timeout: seconds that each of them has.
        pushed_agents: which agents hosts may install for the system: what a key in agent-signers signed, or none.
    """

    bus: str = "system"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    allow: Patterns | None = None
    deny: Patterns = []
    fsfreeze_hooks: list[str] = msgspec.field(default_factory=lambda: list(HOOKS))
    fsfreeze_hook_timeout: Annotated[float, Meta(gt=0, le=86400)] = HOOK_SECONDS
    pushed_agents: Literal["signed", "never"] = "signed"

    def permits(self, command: str) -> bool:
        """Whether a command is served."""
        return (self.allow is None or _matches(self.allow, command)) and not _matches(self.deny, command)


def read_system_config(path: Path) -> SystemConfig:
    """Read the configuration file.

    Args:
        path: of the file. It must be there: without it nobody would know what is allowed.

    Raises:
        ConfigError: it cannot be read; an option is unknown, of the wrong type or out of bounds.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no TOML: {error}") from error
    return _converted(path, settings)


def check_commands(path: Path, config: SystemConfig, known: Iterable[str]) -> None:
    """Check that what is allowed and denied can be meant as it is written.

    Args:
        path: of the file, for the error's text.
        config: what it says.
        known: the commands that the agent has.

    Raises:
        ConfigError: a pattern matches no command; what is frozen could not be thawed.
    """
    names = sorted(known)
    for place, patterns in (("allow", config.allow or ()), ("deny", config.deny)):
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise ConfigError(
                    f"{path}: {place}: '{pattern}' matches no command{_hint(pattern, names)}; "
                    f"each command is an item of its own"
                )
    if any(map(config.permits, _FREEZING)) and not config.permits(_THAW):
        raise ConfigError(f"{path}: {_THAW} must be allowed where freezing is")


def _converted(path: Path, settings: dict[str, Any]) -> SystemConfig:
    options = [field.encode_name for field in msgspec.structs.fields(SystemConfig)]
    for name in settings:
        if name not in options:
            raise ConfigError(f"{path}: there is no option '{name}'{_hint(name, options)}")
    try:
        return msgspec.convert(settings, SystemConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def _matches(patterns: Iterable[str], command: str) -> bool:
    return any(fnmatch.fnmatchcase(command, pattern) for pattern in patterns)


def _hint(wrong: str, right: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, right, 1)
    return f" (is '{near[0]}' meant?)" if near else ""
