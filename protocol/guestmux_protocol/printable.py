"""Text from others, made safe to show: it may not move the cursor, nor pass for our words."""

from __future__ import annotations


def clean(untrusted_text: object) -> str:
    """The text with all escaped that a terminal acts on: controls, bidirectional overrides, lone surrogates."""
    text = str(untrusted_text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
