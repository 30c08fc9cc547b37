"""`guestmux lock`, `unlock`, `idle`, `logout`, `notify`: the stock agent's commands in one session."""

from __future__ import annotations

import click
from msgspec import UNSET

from guestmux.cli.options import as_json, call_timeout, connecting, in_session, talk, wait_agent
from guestmux.cli.output import clean, say, say_json
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.events import LOGIND
from guestmux_protocol.idle_commands import IdleState
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
