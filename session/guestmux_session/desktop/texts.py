"""Texts of other programs', made fit to be passed on."""

from __future__ import annotations


def one_line(untrusted_text: str, limit: int) -> str:
    """The text without what does not print, and not longer than so many characters."""
    text = untrusted_text[:limit]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
