"""Names on the bus: ours and the few standard ones, and what makes a name valid."""

import re
from functools import lru_cache

from guestmux_transport.errors import InvalidValue

MANAGER_NAME = "org.guestmux.Manager1"
MANAGER_INTERFACE = MANAGER_NAME
MANAGER_PATH = "/org/guestmux/Manager1"
AGENT_INTERFACE = "org.guestmux.Agent1"
ERROR_PREFIX = "org.guestmux.Error."

DBUS_NAME = "org.freedesktop.DBus"
DBUS_PATH = "/org/freedesktop/DBus"
DBUS_INTERFACE = DBUS_NAME
PEER_INTERFACE = "org.freedesktop.DBus.Peer"
PROPERTIES_INTERFACE = "org.freedesktop.DBus.Properties"
INTROSPECTABLE_INTERFACE = "org.freedesktop.DBus.Introspectable"

_STANDARD_ERROR = "org.freedesktop.DBus.Error."
ERROR_FAILED = _STANDARD_ERROR + "Failed"
ERROR_INVALID_ARGS = _STANDARD_ERROR + "InvalidArgs"
ERROR_UNKNOWN_OBJECT = _STANDARD_ERROR + "UnknownObject"
ERROR_UNKNOWN_INTERFACE = _STANDARD_ERROR + "UnknownInterface"
ERROR_UNKNOWN_METHOD = _STANDARD_ERROR + "UnknownMethod"
ERROR_UNKNOWN_PROPERTY = _STANDARD_ERROR + "UnknownProperty"
ERROR_PROPERTY_READ_ONLY = _STANDARD_ERROR + "PropertyReadOnly"
ERROR_LIMIT_EXCEEDED = ERROR_PREFIX + "LimitExceeded"
ERROR_TOO_LARGE = ERROR_PREFIX + "TooLarge"

# The specification's length limit for every kind of name ("Valid Names"); paths have none of their own.
MAX_NAME_LENGTH = 255

_ELEMENT = "[A-Za-z_][A-Za-z0-9_]*"
_PATTERNS = {
    "object path": re.compile(r"/|(?:/[A-Za-z0-9_]+)+"),
    "interface name": re.compile(rf"{_ELEMENT}(?:\.{_ELEMENT})+"),
    "error name": re.compile(rf"{_ELEMENT}(?:\.{_ELEMENT})+"),
    "member name": re.compile(_ELEMENT),
    "bus name": re.compile(
        r":[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+|[A-Za-z_-][A-Za-z0-9_-]*(?:\.[A-Za-z_-][A-Za-z0-9_-]*)+"
    ),
}


# The same few names are checked for each message sent; 1024 holds the paths of that many agents.
@lru_cache(maxsize=1024)
def check_name(kind: str, name: str) -> None:
    """Check a name more strictly than the libraries do; the bus disconnects whoever sends a bad one.

    Args:
        kind: "object path", "interface name", "error name", "member name" or "bus name".
        name: what to check.

    Raises:
        InvalidValue: it is not a valid one.

    Source: D-Bus specification, "Valid Names" and "Valid Object Paths"; both libraries let a trailing newline
    pass, and dbus-fast a "-" in a member name.
    """
    if _PATTERNS[kind].fullmatch(name) is None:
        raise InvalidValue(f"not a valid D-Bus {kind}: {name[:MAX_NAME_LENGTH]!r}")
    if kind != "object path" and len(name) > MAX_NAME_LENGTH:
        raise InvalidValue(f"a D-Bus {kind} of {len(name)} characters, at most {MAX_NAME_LENGTH} are allowed")


def is_unique(name: str) -> bool:
    """Whether it names one connection (":1.42"), which the bus never gives to another."""
    return name.startswith(":")
