"""What the guest's administrator lets session agents tell: session-agent.toml. Without the file, the defaults."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from guestmux_session.pushed.place import PushPolicy

DEFAULT_PATH = "/etc/guestmux/session-agent.toml"

logger = logging.getLogger(__name__)


ClipboardPolicy = Literal["active", "always", "never"]

IdleSeconds = Annotated[int, Meta(ge=1, le=86_400)]
"""A day at most; display servers count milliseconds in 32 bits."""

UriScheme = Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9+.-]*)$", max_length=64)]
"""As RFC 3986 has them, in lower case and without the colon; `*` is any."""


Glob = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.*?-]+$", max_length=128)]
"""A name, with `*` and `?`."""


class SessionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Everything that can be set. The defaults are what says least.

    Args:
        clipboard: when hosts may have and set what is in the clipboard: while the session is unlocked and in the
            foreground, always, or never.
        clipboard_sizes: whether programs are asked for what they have put into the clipboard, to tell how large it is.
        uri_schemes: of which URIs hosts may have opened by session-open-uri.
        idle_seconds: without input after which a session is idle, where the desktop does not tell logind.
        pushed_agents: which agents hosts may install for users: what a key in agent-signers signed, any, or none.
        left_to_others: commands and events that are another agent's to serve and emit in this guest.
    """

    clipboard: ClipboardPolicy = "active"
    clipboard_sizes: bool = False
    uri_schemes: tuple[UriScheme, ...] = ("http", "https", "mailto")
    idle_seconds: IdleSeconds = 300
    pushed_agents: PushPolicy = "signed"
    left_to_others: Annotated[tuple[Glob, ...], Meta(max_length=64)] = ()


DEFAULTS = SessionConfig()

NOTHING = SessionConfig(clipboard="never", uri_schemes=(), pushed_agents="never")
"""What a file that cannot be read allows."""


def read_session_config(path: Path = Path(DEFAULT_PATH)) -> SessionConfig:
    """Read the configuration file; one that is written wrongly allows nothing, which is logged."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), SessionConfig)
    except FileNotFoundError:
        return DEFAULTS
    except OSError as error:
        logger.error("%s: %s; nothing is allowed", path, error.strerror)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        logger.error("%s: %s; nothing is allowed", path, error)
    return NOTHING
