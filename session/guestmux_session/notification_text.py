"""A notification's text as its server has to get it, so that a host's text can be nothing but text."""

from __future__ import annotations

import re

_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}

_MARKS = re.compile(r"<(/?)([biu])>|&(?:amp|lt|gt|quot|apos);")
"""What a host's markup is taken for: no links and no pictures, which would have the desktop open and load things."""

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def shown_text(text: str, *, markup: bool, server_has_markup: bool) -> str:
    """The text as the server shows it rightly.

    Args:
        text: the host's.
        markup: whether the host means `<b>`, `<i>`, `<u>` and the five entities of XML by it.
        server_has_markup: whether the server takes the text for markup (its capability `body-markup`).
    """
    if not markup:
        return _escaped(text) if server_has_markup else text
    return _balanced(text) if server_has_markup else _plain(text)


def _balanced(text: str) -> str:
    """Markup that every server can parse: what is open is closed, in order, and all else is escaped."""
    parts: list[str] = []
    opened: list[str] = []
    place = 0
    for mark in _MARKS.finditer(text):
        parts.append(_escaped(text[place : mark.start()]))
        parts.append(_taken(mark, opened))
        place = mark.end()
    parts.append(_escaped(text[place:]))
    return "".join([*parts, *(f"</{name}>" for name in reversed(opened))])


def _taken(mark: re.Match[str], opened: list[str]) -> str:
    closing, name = mark.groups()
    if name is None:
        return mark[0]
    if not closing:
        opened.append(name)
    elif opened and opened[-1] == name:
        opened.pop()
    else:
        return _escaped(mark[0])
    return mark[0]


def _plain(text: str) -> str:
    return _MARKS.sub(lambda mark: "" if mark[2] else _ENTITIES[mark[0]], text)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
