"""`guestmux apps`: the applications of a session, those that run and those that could."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from guestmux.calls import ACTIVE
from guestmux.cli.completing import complete_sessions
from guestmux.cli.options import as_json, call_timeout, connecting, in_session, talk, wait_agent
from guestmux.cli.output import say_json, say_table, warn
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.installed_commands import InstalledApp, InstalledApps
from guestmux_protocol.session_commands import RunningApp, RunningApps

Function = TypeVar("Function", bound=Callable[..., Any])

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""How a URI begins; no desktop file's id has a colon."""

_TRUNCATED = "there are more than are told"


def _where(function: Function) -> Function:
    """Add the session, as an option."""
    option = click.option(
        "-s", "--session", default=ACTIVE, show_default=True, shell_complete=complete_sessions
    )
    return option(wait_agent(call_timeout(function)))


_pid = click.option(
    "--pid", type=click.IntRange(min=1), help="Which of several; the one that came last by default."
)


@click.group()
@connecting
def apps() -> None:
    """List, start, focus and close a session's applications.

    APP is the id of a desktop file, as in the first column of the lists: org.gnome.TextEditor, firefox-esr.
    """


@apps.command("list", epilog=SESSIONS)
@in_session
@wait_agent
@call_timeout
@as_json
@connecting
def list_apps(session: str, wait_agent: float | None, timeout: float | None, as_json: bool) -> None:
    """List the applications that run. The one that has the keyboard has a star."""

    async def work(guest: Guest) -> None:
        found = await guest.list_apps(session, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(found)
        else:
            _show_running(found)

    talk(work)


@apps.command("installed", epilog=SESSIONS)
@in_session
@click.option("--hidden", is_flag=True, help="Those as well that no menu has: helpers, and parts of others.")
@wait_agent
@call_timeout
@as_json
@connecting
def installed(
    session: str, hidden: bool, wait_agent: float | None, timeout: float | None, as_json: bool
) -> None:
    """List the applications that the session's user could start.

    They are the system's, the user's own, Flatpaks and Snaps. With --json it tells what each opens as well.
    """

    async def work(guest: Guest) -> None:
        found = await guest.installed_apps(
            session, hidden=hidden, mime_types=as_json, wait=wait_agent, timeout=timeout
        )
        if as_json:
            say_json(found)
        else:
            _show_installed(found)

    talk(work)


@apps.command(
    "launch",
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux apps launch org.gnome.TextEditor file:///home/alice/notes.txt",
            "guestmux apps launch -s user:bob xterm",
            "guestmux apps launch file:///home/alice/notes.txt   # with what alice opens such files with",
        ),
    ),
)
@click.argument("app", metavar="APP|URI")
@click.argument("uris", nargs=-1, metavar="[URI]...")
@_where
@as_json
@connecting
def launch(
    app: str,
    uris: tuple[str, ...],
    session: str,
    wait_agent: float | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Start an installed application, as a click in the menu would; with URIs it opens these.

    A URI alone is opened with what the user has chosen for it. With --json it tells who started it.
    """
    which, opened = (None, [app, *uris]) if _URI.match(app) else (app, [*uris])
    if which is None and uris:
        raise click.UsageError("several URIs need an application that opens them")

    async def work(guest: Guest) -> None:
        done = await guest.launch(which, opened, session=session, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(done)

    talk(work)


@apps.command("focus", epilog=SESSIONS)
@click.argument("app")
@_pid
@_where
@connecting
def focus(app: str, pid: int | None, session: str, wait_agent: float | None, timeout: float | None) -> None:
    """Bring an application's window to the front, and give it the keyboard."""

    async def work(guest: Guest) -> None:
        await guest.focus_app(app, pid=pid, session=session, wait=wait_agent, timeout=timeout)

    talk(work)


@apps.command("close", epilog=SESSIONS)
@click.argument("app")
@_pid
@_where
@as_json
@connecting
def close(
    app: str, pid: int | None, session: str, wait_agent: float | None, timeout: float | None, as_json: bool
) -> None:
    """Ask an application to close all of its windows; it may ask the user back, and stay.

    With --json it tells how many windows were asked.
    """

    async def work(guest: Guest) -> None:
        asked = await guest.close_app(app, pid=pid, session=session, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(asked)

    talk(work)


def _show_running(found: RunningApps) -> None:
    titled = any(isinstance(app.title, str) for app in found.apps)
    columns = ("APP", "NAME", "PID", "WINDOWS", *(["TITLE"] if titled else []))
    say_table(columns, (_running(app, titled) for app in found.apps))
    if found.truncated:
        warn(_TRUNCATED)


def _running(app: RunningApp, titled: bool) -> tuple[object, ...]:
    name = f"{app.app_id}*" if app.focused else app.app_id
    return name, app.name, app.pid or "", app.windows or "", *([app.title or ""] if titled else [])


def _show_installed(found: InstalledApps) -> None:
    say_table(("APP", "NAME", "VERSION", "ORIGIN", "FOR"), map(_installed, found.apps))
    if found.truncated:
        warn(_TRUNCATED)


def _installed(app: InstalledApp) -> tuple[object, ...]:
    return app.app_id, app.name, app.version or "", app.origin, "all" if app.scope == "system" else "user"
