"""The stock session agent's commands about the clipboard."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

CLIPBOARD: dict[str, Command] = {}
"""These commands, by name."""

TEXT = "text/plain"
"""The format that stands for text in whatever form the session's programs have it; to hosts it is always UTF-8."""

MAX_FORMAT = 256
"""Characters of a format's name: twice what RFC 6838 lets a MIME type have."""

MAX_FORMATS = 64
"""Formats that are told of one content; office programs offer some thirty."""

MAX_CONTENT = 64 << 20
"""Bytes of a content, either way: an uncompressed picture of an 8K screen is twice that, and nobody copies one so."""

MAX_INLINE = 16 << 20
"""Bytes of a content in one answer; larger ones are a stream's, which needs no memory for them on the way."""

Selection: TypeAlias = Literal["clipboard", "primary"]
Which: TypeAlias = Annotated[
    Selection, doc("`primary` is what the user has marked, and the middle button inserts.")
]
Format: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_FORMAT),
    doc(
        "A MIME type, as `text/html` or `image/png`. `text/plain` is text in whatever form programs have it."
    ),
]
Sizes: TypeAlias = Annotated[
    dict[str, int], doc("Bytes by format, where they are known: of what was set through this agent.")
]


class ClipboardFormats(Data, frozen=True, kw_only=True, omit_defaults=False):
    """In which formats there is a content."""

    formats: Annotated[list[str], doc("Empty: there is no content.")]
    sizes: Sizes
    truncated: Annotated[bool, doc("There are more than are told.")]


class ClipboardContent(Data, frozen=True, kw_only=True):
    """A content in one format."""

    format: str
    size: Annotated[int, doc("Bytes.")]
    text: Annotated[str | UnsetType, doc("The content, where it is of a text format, and UTF-8.")] = UNSET
    data_b64: Annotated[str | UnsetType, doc("The content in base64, where it is not.")] = UNSET


class ClipboardOpened(Data, frozen=True):
    """The answer to a stream's opening."""

    format: str


class ClipboardMoved(Data, frozen=True):
    """How a stream ended."""

    bytes: Annotated[int, doc("How many went over it.")]


@command(CLIPBOARD, "session-clipboard-list", returns=ClipboardFormats)
class SessionClipboardList(Arguments, frozen=True):
    """Tell in which formats the clipboard's content is there.

    Like all commands about the clipboard it is refused while the session is locked or in the background, unless
    session-agent.toml says otherwise.
    """

    selection: Which = "clipboard"


@command(CLIPBOARD, "session-clipboard-get", returns=ClipboardContent)
class SessionClipboardGet(Arguments, frozen=True):
    """Give the clipboard's content in a format, up to 16 MiB. The program that has it is asked for it."""

    selection: Which = "clipboard"
    format: Format = TEXT


@command(CLIPBOARD, "session-clipboard-set", returns=Data)
class SessionClipboardSet(Arguments, frozen=True):
    """Put a content into the clipboard, in place of what is there. The agent has it until another program sets one.

    Exactly one of `text` and `data-b64` is given.
    """

    selection: Which = "clipboard"
    format: Format = TEXT
    text: Annotated[str | UnsetType, doc("The content.")] = UNSET
    data_b64: Annotated[str | UnsetType, doc("The content in base64.")] = UNSET


@command(CLIPBOARD, "session-clipboard-clear", returns=Data)
class SessionClipboardClear(Arguments, frozen=True):
    """Empty the clipboard. A clipboard manager of the session's may have kept what was in it."""

    selection: Which = "clipboard"


@command(CLIPBOARD, "session-clipboard-download", returns=ClipboardOpened, stream=True)
class SessionClipboardDownload(Arguments, frozen=True):
    """Send the clipboard's content in a format, up to 64 MiB. The stream's result is `bytes`, how many there were."""

    selection: Which = "clipboard"
    format: Format = TEXT


@command(CLIPBOARD, "session-clipboard-upload", returns=ClipboardOpened, stream=True)
class SessionClipboardUpload(Arguments, frozen=True):
    """Put what comes into the clipboard, when all has come: up to 64 MiB. The result is `bytes`."""

    selection: Which = "clipboard"
    format: Format = TEXT
