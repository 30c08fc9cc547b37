"""`guestmux lock`, `unlock`, `idle`, `logout`, `notify`: the stock agent's commands in one session."""

from __future__ import annotations

from typing import Literal, cast

import click
from msgspec import UNSET

from guestmux.asking import GUEST_MAX_TIMEOUT
from guestmux.cli.completing import complete_sessions
from guestmux.cli.options import as_json, call_timeout, connecting, in_session, talk, wait_agent
from guestmux.cli.output import clean, say, say_json
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.events import LOGIND
from guestmux_protocol.idle_commands import IdleState
from guestmux_protocol.notification_commands import NotifyResult
from guestmux_protocol.session_commands import LockState


@click.command(epilog=paragraphs(SESSIONS, examples("guestmux lock", "guestmux lock user:alice")))
@in_session
@wait_agent
@call_timeout
@as_json
@connecting
def lock(session: str, wait_agent: float | None, timeout: float | None, as_json: bool) -> None:
    """Lock a session's screen."""

    async def work(guest: Guest) -> None:
        _show_lock(await guest.lock(session, wait=wait_agent, timeout=timeout), "locked", as_json)

    talk(work)


@click.command(epilog=SESSIONS)
@in_session
@wait_agent
@call_timeout
@as_json
@connecting
def unlock(session: str, wait_agent: float | None, timeout: float | None, as_json: bool) -> None:
    """Unlock a session's screen."""

    async def work(guest: Guest) -> None:
        _show_lock(await guest.unlock(session, wait=wait_agent, timeout=timeout), "unlocked", as_json)

    talk(work)


@click.command(epilog=paragraphs(SESSIONS, examples("guestmux idle", "guestmux idle user:alice --json")))
@in_session
@wait_agent
@call_timeout
@as_json
@connecting
def idle(session: str, wait_agent: float | None, timeout: float | None, as_json: bool) -> None:
    """Tell for how long nobody has used a session."""

    async def work(guest: Guest) -> None:
        _show_idle(await guest.idle(session, wait=wait_agent, timeout=timeout), as_json)

    talk(work)


@click.command(epilog=SESSIONS)
@in_session
@wait_agent
@call_timeout
@connecting
def logout(session: str, wait_agent: float | None, timeout: float | None) -> None:
    """End a session. What is unsaved in it is lost."""

    async def work(guest: Guest) -> None:
        await guest.logout(session, wait=wait_agent, timeout=timeout)

    talk(work)


@click.command(
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux notify 'Backup at noon'",
            "guestmux notify -s user:alice 'Restart now?' --action yes=Restart --action no=Later --wait",
        ),
    )
)
@click.argument("summary")
@click.argument("body", default="")
@click.option("-s", "--session", default="active", show_default=True, shell_complete=complete_sessions)
@click.option("--icon", default="", help="A name from the session's icon theme.")
@click.option(
    "--urgency", type=click.Choice(["low", "normal", "critical"]), default="normal", show_default=True
)
@click.option(
    "--action", "actions", multiple=True, metavar="KEY=LABEL", help="A button; several are possible."
)
@click.option(
    "--expire", type=click.FloatRange(min=0), metavar="SECONDS", help="When it goes away; 0: never."
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
    icon: str,
    urgency: str,
    actions: tuple[str, ...],
    expire: float | None,
    wait: bool,
    wait_agent: float | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Show a desktop notification to the user of a session.

    With --wait it prints the key of the action that the user chose, or else dismissed, expired or closed.
    """
    buttons = dict(_button(text) for text in actions)
    # A user takes his time; only who asks for a limit gets one.
    patience = GUEST_MAX_TIMEOUT if wait and timeout is None else timeout

    async def work(guest: Guest) -> None:
        result = await guest.notify(
            summary,
            body,
            session=session,
            icon=icon,
            urgency=cast("Literal['low', 'normal', 'critical']", urgency),
            actions=buttons,
            expire=expire,
            wait_for_user=wait,
            wait=wait_agent,
            timeout=patience,
        )
        _show_outcome(result, wait, as_json)

    talk(work)


def _button(text: str) -> tuple[str, str]:
    key, sign, label = text.partition("=")
    if not sign or not key:
        raise click.BadParameter(f"'{text}' is not KEY=LABEL", param_hint="--action")
    return key, label


def _show_lock(state: LockState, word: str, as_json: bool) -> None:
    if as_json:
        say_json(state)
    elif not state.confirmed:
        still = "it is still locked" if state.locked else "no screen locker confirmed it"
        say(f"asked to be {word}; {still}")
    elif state.said_by and LOGIND not in state.said_by:
        say(clean(f"{word}, says {', '.join(state.said_by)}"))
    else:
        say(word)


def _show_idle(state: IdleState, as_json: bool) -> None:
    if as_json:
        say_json(state)
        return
    word = "idle" if state.idle else "in use"
    say(word if state.seconds is UNSET else f"{word}, last input {state.seconds:.0f} s ago")


def _show_outcome(result: NotifyResult, waited: bool, as_json: bool) -> None:
    if as_json:
        say_json(result)
    elif waited:
        say(clean(result.action if isinstance(result.action, str) else result.outcome))
