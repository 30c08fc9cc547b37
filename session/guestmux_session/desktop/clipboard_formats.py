"""Formats of a clipboard's content: what hosts call them, and what programs do. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guestmux_protocol.clipboard_commands import MAX_FORMAT, MAX_FORMATS, TEXT

LATIN_1 = "STRING"
"""X11's old text: ISO 8859-1 (ICCCM § 2.6.2). All other texts are read as UTF-8."""

MAX_CONVERTED = 1024 * 1024
"""Bytes of a text that is offered in ISO 8859-1 as well: programs that take nothing else get no books."""

ANY_TEXT = "TEXT"
"""Text in the encoding that its owner likes best, which the answer's type names."""

TEXTS = ("UTF8_STRING", "text/plain;charset=utf-8", TEXT, LATIN_1)
"""Names under which programs offer text, best first."""

_NOT_CONTENT = frozenset(
    {
        *("TARGETS", "MULTIPLE", "TIMESTAMP", "LENGTH", "SAVE_TARGETS"),
        *("DELETE", "INSERT_SELECTION", "INSERT_PROPERTY"),
        # Text in encodings that the answer names; who offers these offers UTF8_STRING, too.
        *(ANY_TEXT, "COMPOUND_TEXT"),
    }
)
"""Targets that are questions about a selection (ICCCM § 2.6.2), or orders."""


@dataclass(frozen=True)
class Offered:
    """What the session's programs can have of a content.

    Attributes:
        names: as programs call them, at most as many as are told.
        truncated: there are more, or such as cannot be told.
    """

    names: tuple[str, ...] = ()
    truncated: bool = False

    @classmethod
    def of(cls, untrusted_names: Iterable[str], *, truncated: bool = False) -> Offered:
        """Of names as they came: those that no MIME type or target can have are left out."""
        names: list[str] = []
        for name in dict.fromkeys(untrusted_names):
            if name in _NOT_CONTENT:
                continue
            if len(names) >= MAX_FORMATS or not is_name(name):
                truncated = True
                continue
            names.append(name)
        return cls(tuple(names), truncated)

    @property
    def formats(self) -> list[str]:
        """As hosts call them: all that is plain text is TEXT."""
        return [*dict.fromkeys(TEXT if _text_rank(name) is not None else name for name in self.names)]

    def name_of(self, untrusted_format: str) -> str | None:
        """What programs call a format of a host's; None: it is not there."""
        if untrusted_format != TEXT:
            return untrusted_format if untrusted_format in self.names else None
        ranked = [(rank, name) for name in self.names if (rank := _text_rank(name)) is not None]
        return min(ranked)[1] if ranked else None


@dataclass(frozen=True)
class Content:
    """What a host puts into the clipboard.

    Attributes:
        format: as hosts call it.
        data: the bytes; of text as UTF-8.
    """

    format: str
    data: bytes

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by format."""
        return {self.format: len(self.data)}


def is_name(text: str) -> bool:
    """Whether a program could call a format so: printable ASCII, MAX_FORMAT characters at most."""
    return 0 < len(text) <= MAX_FORMAT and text.isascii() and text.isprintable()


def is_text(untrusted_format: str) -> bool:
    """Whether a format's content is text, so that hosts are given it as such."""
    return untrusted_format.startswith("text/")


def names_of(content: Content) -> Sequence[str]:
    """Under which names a content is offered to programs."""
    return TEXTS[:-1] if content.format == TEXT else (content.format,)


def as_latin_1(text: bytes) -> bytes | None:
    """A text in UTF-8 for programs of before Unicode; None: it has letters that they have not, or is no text."""
    if text.isascii():
        return text
    if len(text) > MAX_CONVERTED:
        return None
    try:
        return text.decode().encode("latin-1")
    except UnicodeError:
        return None


def from_program(name: str, data: bytes) -> bytes:
    """A piece of content as a host gets it: what is not UTF-8 by its name becomes it."""
    return data.decode("latin-1").encode() if name == LATIN_1 else data


def _text_rank(name: str) -> int | None:
    for rank, text in enumerate(TEXTS):
        if name == text or ("/" in text and name.lower().replace(" ", "") == text):
            return rank
    return None
