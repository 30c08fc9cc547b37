"""The stock session agent's commands about desktop notifications."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

NOTIFICATIONS: dict[str, Command] = {}
"""These commands, by name."""

MAX_LINE = 1024
"""Characters of a title, a key, a label: no desktop shows more of a line."""

MAX_BODY = 16 * 1024
"""Characters of a notification's text: some screens full, and little enough for any notification server."""

MAX_ACTIONS = 16
"""Buttons of a notification."""

MAX_EXPIRE = 2_000_000.0
"""Seconds until a notification goes away: what the server's 32-bit milliseconds hold."""

MAX_REPLY = 8 * 1024
"""Characters of what a user replies, of which no more is told: six bytes of JSON each fit into an event."""

MAX_IMAGE = 512 * 1024
"""Characters of a picture in base64: a PNG of 256x256 pixels is at most some 350,000, whatever it shows."""

MAX_NUMBER = 2**32 - 1
"""Notification servers' numbers are D-Bus's `u`."""

Line: TypeAlias = Annotated[str, Meta(max_length=MAX_LINE)]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Tag: TypeAlias = Annotated[Line, doc("What the host gave with session-notify.")]


class NotifyAction(Arguments, frozen=True):
    """A button on a notification."""

    key: Annotated[Line, doc("Returned when the user chose it.")]
    label: Annotated[Line, doc("What the button says.")]


class NotifyReply(Arguments, frozen=True):
    """A field on a notification that the user can type a reply into."""

    label: Annotated[
        Annotated[Line, Meta(min_length=1)], doc("What the button says that opens it, or sends it.")
    ] = "Reply"
    placeholder: Annotated[Line, doc("Shown in the empty field, where the server does.")] = ""


class NotifyResult(Data, frozen=True):
    """What became of a notification."""

    id: Annotated[int, doc("The notification server's number.")]
    outcome: Annotated[
        Literal["shown", "action", "replied", "dismissed", "expired", "closed"],
        doc("`shown` where the call did not wait."),
    ]
    action: Annotated[str | UnsetType, doc("The key of the action that the user chose.")] = UNSET
    reply: Annotated[
        str | UnsetType, doc(f"What the user replied, at most {MAX_REPLY} characters of it.")
    ] = UNSET


@command(NOTIFICATIONS, "session-notify", returns=NotifyResult)
class SessionNotify(Arguments, frozen=True):
    """Show a desktop notification, and where asked wait for what the user does with it.

    What becomes of one that no call waits for is told by NOTIFICATION_ACTION and NOTIFICATION_CLOSED.
    """

    summary: Annotated[Line, doc("The title, one line.")]
    body: Annotated[
        str, Meta(max_length=MAX_BODY), doc("The text; shown as plain text, whatever it has in it.")
    ] = ""
    markup: Annotated[
        bool,
        doc(
            "The body's `<b>`, `<i>` and `<u>` are taken for what they are, where the notification server can, and left"
            " out where not. All else is shown as text."
        ),
    ] = False
    icon: Annotated[Line, doc("An icon's name from the icon theme; no path.")] = ""
    image_b64: Annotated[
        Annotated[str, Meta(max_length=MAX_IMAGE)] | UnsetType,
        doc("A picture instead: a PNG of at most 256x256 pixels, in base64."),
    ] = UNSET
    urgency: Literal["low", "normal", "critical"] = "normal"
    category: Annotated[
        Line, doc("What it is about, as `email.arrived` (Desktop Notifications Specification).")
    ] = ""
    actions: Annotated[
        list[NotifyAction],
        Meta(max_length=MAX_ACTIONS),
        doc("Buttons. The key `default` stands for a click on the notification itself."),
    ] = []
    reply: Annotated[
        NotifyReply | UnsetType,
        doc("Let the user reply; refused where the notification server has no replies."),
    ] = UNSET
    expire: Annotated[
        Annotated[float, Meta(ge=0, le=MAX_EXPIRE)] | UnsetType,
        doc("Seconds until it goes away; 0 never; the desktop's own time where not given."),
    ] = UNSET
    resident: Annotated[bool, doc("It stays when the user has chosen an action.")] = False
    transient: Annotated[bool, doc("The desktop is not to keep it for later.")] = False
    replaces: Annotated[
        Number | UnsetType,
        doc("The `id` of an open one that this takes the place of; one of the hosts' own."),
    ] = UNSET
    tag: Annotated[Line, doc("Comes back in the events about it.")] = ""
    wait_for_user: Annotated[bool, doc("Answer only when the user acted, or it expired.")] = False


@command(NOTIFICATIONS, "session-notify-close", returns=Data)
class SessionNotifyClose(Arguments, frozen=True):
    """Take a notification away that session-notify has shown, and that is still open."""

    id: Annotated[Number, doc("From session-notify.")]
