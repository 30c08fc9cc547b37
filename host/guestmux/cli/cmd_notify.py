"""`guestmux notify`, `notify-close`: notifications on a session's desktop."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import click
from msgspec import UNSET

from guestmux.asking import GUEST_MAX_TIMEOUT
from guestmux.calls import ACTIVE
from guestmux.cli import exits
from guestmux.cli.completing import complete_sessions
from guestmux.cli.options import as_json, call_timeout, connecting, in_session, talk, wait_agent
from guestmux.cli.output import clean, say, say_json
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.notification_commands import MAX_IMAGE, NotifyReply, NotifyResult

_CHOSEN = ("action", "replied")


@click.command(
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux notify 'Backup at noon'",
            "guestmux notify -s user:alice 'Restart now?' --action yes=Restart --action no=Later --wait",
            "guestmux notify 'When shall we restart?' --reply Send --wait",
            "id=$(guestmux notify -p 'Backup: 10 %'); guestmux notify -r $id 'Backup: 20 %'",
        ),
    )
)
@click.argument("summary")
@click.argument("body", default="")
@click.option("-s", "--session", default=ACTIVE, show_default=True, shell_complete=complete_sessions)
@click.option("--markup", is_flag=True, help="<b>, <i> and <u> in BODY are meant as such.")
@click.option("--icon", default="", help="A name from the session's icon theme.")
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PNG",
    help="A picture, from a file of this host: a PNG of at most 256x256 pixels.",
)
@click.option(
    "--urgency", type=click.Choice(["low", "normal", "critical"]), default="normal", show_default=True
)
@click.option("--category", default="", help="What it is about, as email.arrived.")
@click.option(
    "--action", "actions", multiple=True, metavar="KEY=LABEL", help="A button; several are possible."
)
@click.option(
    "--reply",
    metavar="LABEL",
    help="A field for a reply, with this button; refused where the desktop has none.",
)
@click.option(
    "--expire", type=click.FloatRange(min=0), metavar="SECONDS", help="When it goes away; 0: never."
)
@click.option("--resident", is_flag=True, help="It stays when an action was chosen.")
@click.option("--transient", is_flag=True, help="The desktop is not to keep it for later.")
@click.option("-r", "--replace", type=click.IntRange(min=1), metavar="ID", help="Take the place of this one.")
@click.option("--tag", default="", help="Comes back in the events about it.")
@click.option(
    "-p", "--print-id", is_flag=True, help="Print its number first, for --replace and notify-close."
)
@click.option(
    "--wait", is_flag=True, help="Wait until the user acts or it expires, and print what became of it."
)
@wait_agent
@call_timeout
@as_json
@connecting
def notify(
    summary: str,
    body: str,
    session: str,
    markup: bool,
    icon: str,
    image: Path | None,
    urgency: str,
    category: str,
    actions: tuple[str, ...],
    reply: str | None,
    expire: float | None,
    resident: bool,
    transient: bool,
    replace: int | None,
    tag: str,
    print_id: bool,
    wait: bool,
    wait_agent: float | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Show a desktop notification to the user of a session.

    With --wait it prints the key of the action that the user chose, or what the user replied; else dismissed, expired
    or closed, and the exit status is 1 where there was something to choose or to reply. Without, `guestmux events
    'NOTIFICATION_*'` tells what becomes of it.
    """
    if print_id and wait:
        raise click.UsageError("with --wait the number is known only in the end: take it from --json")
    buttons = dict(_button(text) for text in actions)
    picture = _picture(image)
    # A user takes his time; only who asks for a limit gets one.
    patience = GUEST_MAX_TIMEOUT if wait and timeout is None else timeout

    async def work(guest: Guest) -> int:
        result = await guest.notify(
            summary,
            body,
            session=session,
            markup=markup,
            icon=icon,
            image=picture,
            urgency=cast("Literal['low', 'normal', 'critical']", urgency),
            category=category,
            actions=buttons,
            reply=False if reply is None else NotifyReply(label=reply),
            expire=expire,
            resident=resident,
            transient=transient,
            replaces=replace,
            tag=tag,
            wait_for_user=wait,
            wait=wait_agent,
            timeout=patience,
        )
        _show(result, as_json=as_json, waited=wait, print_id=print_id)
        asked = wait and (buttons or reply is not None)
        return exits.FAILED if asked and result.outcome not in _CHOSEN else exits.OK

    talk(work)


@click.command("notify-close", epilog=paragraphs(SESSIONS, examples("guestmux notify-close 4 user:alice")))
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@in_session
@wait_agent
@call_timeout
@connecting
def notify_close(number: int, session: str, wait_agent: float | None, timeout: float | None) -> None:
    """Take a notification away that `guestmux notify -p` has shown, if it is still open."""

    async def work(guest: Guest) -> None:
        await guest.close_notification(number, session, wait=wait_agent, timeout=timeout)

    talk(work)


def _button(text: str) -> tuple[str, str]:
    key, sign, label = text.partition("=")
    if not sign or not key:
        raise click.BadParameter(f"'{text}' is not KEY=LABEL", param_hint="--action")
    return key, label


def _picture(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            # More is refused by the guest anyway.
            return file.read(MAX_IMAGE)
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--image") from error


def _show(result: NotifyResult, *, as_json: bool, waited: bool, print_id: bool) -> None:
    if as_json:
        say_json(result)
    elif waited:
        words = (result.action, result.reply, result.outcome)
        say(clean(next(word for word in words if word is not UNSET)))
    elif print_id:
        say(str(result.id))
