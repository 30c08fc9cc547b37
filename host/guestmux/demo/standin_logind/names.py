"""Names on the bus: logind's, as org.freedesktop.login1(5) has them, and the stand-in's own."""

from __future__ import annotations

from typing import Final

LOGIN1: Final = "org.freedesktop.login1"
MANAGER_PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = f"{LOGIN1}.Manager"
SESSION: Final = f"{LOGIN1}.Session"
USER: Final = f"{LOGIN1}.User"
SEAT: Final = f"{LOGIN1}.Seat"

CONTROL: Final = "org.guestmux.StandinLogind1"
CONTROL_PATH: Final = "/org/guestmux/StandinLogind1"

ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"
INTERACTIVE_AUTHORIZATION_REQUIRED: Final = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
INVALID_ARGS: Final = "org.freedesktop.DBus.Error.InvalidArgs"
NOT_SUPPORTED: Final = "org.freedesktop.DBus.Error.NotSupported"
NO_SESSION_FOR_PID: Final = f"{LOGIN1}.NoSessionForPID"
NO_SUCH_SEAT: Final = f"{LOGIN1}.NoSuchSeat"
NO_SUCH_SESSION: Final = f"{LOGIN1}.NoSuchSession"
NO_SUCH_USER: Final = f"{LOGIN1}.NoSuchUser"
OPERATION_IN_PROGRESS: Final = f"{LOGIN1}.OperationInProgress"


def session_path(session: str) -> str:
    """Give the object path of a session: session 3 is `…/session/_33`."""
    return f"{MANAGER_PATH}/session/{_escape(session)}"


def seat_path(seat: str) -> str:
    """Give the object path of a seat."""
    return f"{MANAGER_PATH}/seat/{_escape(seat)}"


def user_path(uid: int) -> str:
    """Give the object path of a user."""
    return f"{MANAGER_PATH}/user/_{uid}"


def _escape(name: str) -> str:
    """Make an element of an object path of any text, as sd_bus_path_encode(3) does."""
    if not name:
        return "_"
    return "".join(_escape_byte(byte, first=index == 0) for index, byte in enumerate(name.encode()))


def _escape_byte(byte: int, *, first: bool) -> str:
    character = chr(byte)
    plain = character.isascii() and (character.isalpha() or (character.isdigit() and not first))
    return character if plain else f"_{byte:02x}"
