"""The two families of errors: ours (`GuestmuxError`) and theirs (`RemoteError`)."""

from __future__ import annotations

MAX_SHOWN = 128
"""Characters of the other side's text that an error repeats: any real name fits, a 64 MiB one is not sent back."""


class GuestmuxError(Exception):
    """A bug or a refusal on this side; every error this project raises by itself is a child of it."""


class ProtocolError(GuestmuxError):
    """What came in is not what the protocol allows.

    Args:
        desc: the text for QMP's `desc`; it says what is wrong, and is safe to send to the other side.
    """

    def __init__(self, desc: str) -> None:
        super().__init__(desc)
        self.desc = desc


class FramingError(ProtocolError):
    """Bytes that are no JSON value, or a value over a limit. The stream itself stays usable."""


class JsonError(ProtocolError):
    """Text that is no JSON value, or a value that has no JSON text."""


class RemoteError(Exception):
    """The other side refused, in QMP's form `{"error": {"class": error_class, "desc": desc}}`.

    Args:
        error_class: QMP's error class ("GenericError", "CommandNotFound", ...).
        desc: the other side's own words.
    """

    def __init__(self, error_class: str, desc: str) -> None:
        super().__init__(f"{error_class}: {desc}" if error_class != "GenericError" else desc)
        self.error_class = error_class
        self.desc = desc
