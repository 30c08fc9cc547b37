"""A host's notification as its server's Notify takes it (Desktop Notifications Specification 1.2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import UNSET

from guestmux_protocol.notification_commands import SessionNotify
from guestmux_session.errors import CommandError
from guestmux_session.notification_text import shown_text
from guestmux_session.png_pixels import Pixels
from guestmux_transport.values import Variant

APPLICATION = "guestmux"
"""Shown as the sender: the user sees that it comes from outside of the session."""

SIGNATURE = "susssasa{sv}i"

REPLY_KEY = "inline-reply"
"""KDE's action for a reply, and its capability's name; other servers have taken both over."""

_URGENCY = {"low": 0, "normal": 1, "critical": 2}
_SERVER_DECIDES = -1
_SAMPLE_BITS, _CHANNELS = 8, 4


def check(asked: SessionNotify, capabilities: Collection[str]) -> None:
    """See whether the server can do what is asked.

    Raises:
        CommandError: it cannot, or it may not be asked.
    """
    if "/" in asked.icon or ":" in asked.icon:
        raise CommandError("'icon' is a name from the icon theme, no path; give a picture by 'image-b64'")
    if any(action.key == REPLY_KEY for action in asked.actions):
        raise CommandError(f"'{REPLY_KEY}' is no action's key; ask for a reply by 'reply'")
    if asked.actions and "actions" not in capabilities:
        raise CommandError("the notification server of this session shows no buttons; ask without actions")
    if asked.reply is not UNSET and REPLY_KEY not in capabilities:
        raise CommandError("the notification server of this session takes no replies; ask without 'reply'")


def request(asked: SessionNotify, capabilities: Collection[str], picture: Pixels | None) -> tuple[Any, ...]:
    """The arguments of Notify."""
    markup = "body-markup" in capabilities
    return (
        APPLICATION,
        0 if asked.replaces is UNSET else asked.replaces,
        asked.icon,
        asked.summary,
        shown_text(asked.body, markup=asked.markup, server_has_markup=markup),
        _actions(asked),
        _hints(asked, picture),
        _SERVER_DECIDES if asked.expire is UNSET else _milliseconds(asked.expire),
    )


def _actions(asked: SessionNotify) -> list[str]:
    actions = [text for action in asked.actions for text in (action.key, action.label)]
    return actions if asked.reply is UNSET else [*actions, REPLY_KEY, asked.reply.label]


def _hints(asked: SessionNotify, picture: Pixels | None) -> dict[str, Variant]:
    hints = {"urgency": Variant("y", _URGENCY[asked.urgency])}
    if asked.category:
        hints["category"] = Variant("s", asked.category)
    if asked.resident:
        hints["resident"] = Variant("b", True)
    if asked.transient:
        hints["transient"] = Variant("b", True)
    if asked.reply is not UNSET and asked.reply.placeholder:
        hints["x-kde-reply-placeholder-text"] = Variant("s", asked.reply.placeholder)
    if picture is not None:
        hints["image-data"] = _image(picture)
    return hints


def _image(picture: Pixels) -> Variant:
    row = picture.width * _CHANNELS
    shape = [picture.width, picture.height, row, True, _SAMPLE_BITS, _CHANNELS]
    return Variant("(iiibiiay)", [*shape, picture.data])


def _milliseconds(seconds: float) -> int:
    """0 means never, so that the shortest time is 1."""
    return max(1, round(seconds * 1000)) if seconds else 0
