"""Desktop notifications in a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from guestmux import base64_bytes
from guestmux.calling import Calling, read_as
from guestmux.calls import ACTIVE
from guestmux_protocol.notification_commands import NotifyAction, NotifyReply, NotifyResult


class NotificationCalls(Calling):
    """Shows notifications, and takes them away. Every method raises what `call` raises, and UnexpectedReply.

    What becomes of one that no call waits for is told by the events NOTIFICATION_ACTION and NOTIFICATION_CLOSED.
    """

    async def notify(
        self,
        summary: str,
        body: str = "",
        *,
        session: str = ACTIVE,
        markup: bool = False,
        icon: str = "",
        image: bytes | None = None,
        urgency: Literal["low", "normal", "critical"] = "normal",
        category: str = "",
        actions: Sequence[NotifyAction] | Mapping[str, str] = (),
        reply: NotifyReply | bool = False,
        expire: float | None = None,
        resident: bool = False,
        transient: bool = False,
        replaces: int | None = None,
        tag: str = "",
        wait_for_user: bool = False,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> NotifyResult:
        """Show a desktop notification.

        Args:
            summary: the title, one line.
            body: the text; shown as it is, unless `markup` says otherwise.
            session: a logind id, `active` or `user:NAME`.
            markup: whether `<b>`, `<i>` and `<u>` in the body are meant as such.
            icon: a name from the session's icon theme.
            image: a picture instead: a PNG of at most 256x256 pixels.
            urgency: how much it matters.
            category: what it is about, as `email.arrived`.
            actions: buttons, as {key: label} or NotifyAction.
            reply: let the user reply, where the desktop can; else the guest refuses.
            expire: seconds until it goes away; 0 never; None as the desktop likes.
            resident: it stays when the user has chosen an action.
            transient: the desktop is not to keep it for later.
            replaces: the `id` of an open one that this takes the place of.
            tag: comes back in the events about it.
            wait_for_user: return only when the user acted, or it expired. Give a `timeout` that suits.
            wait: seconds to wait for the session's agent to register.
            timeout: seconds until the call is cancelled.
        """
        optional = {
            "markup": markup,
            "image-b64": None if image is None else base64_bytes.encode(image),
            "category": category,
            "actions": _buttons(actions),
            "reply": _reply(reply),
            "expire": expire,
            "resident": resident,
            "transient": transient,
            "replaces": replaces,
            "tag": tag,
            "wait-for-user": wait_for_user,
        }
        # A guest of before knows no more of them than are used.
        given = {
            name: value
            for name, value in optional.items()
            if value not in (None, "", []) and value is not False
        }
        arguments = {"summary": summary, "body": body, "icon": icon, "urgency": urgency, **given}
        value = await self.call("session-notify", arguments, session=session, wait=wait, timeout=timeout)
        return read_as(NotifyResult, "session-notify", value)

    async def close_notification(
        self,
        number: int,
        session: str = ACTIVE,
        *,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Take a notification away that `notify` has shown.

        Args:
            number: its `id`.
            session: where it is.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.

        Raises:
            CommandFailed: none of this number is open.
        """
        await self.call("session-notify-close", id=number, session=session, wait=wait, timeout=timeout)


def _buttons(actions: Sequence[NotifyAction] | Mapping[str, str]) -> list[dict[str, str]]:
    if isinstance(actions, Mapping):
        return [{"key": key, "label": label} for key, label in actions.items()]
    return [{"key": action.key, "label": action.label} for action in actions]


def _reply(reply: NotifyReply | bool) -> dict[str, Any] | None:
    if isinstance(reply, bool):
        return {} if reply else None
    return {"label": reply.label, "placeholder": reply.placeholder}
