"""`guestmux displays`: a session's displays, listed and set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from guestmux.calls import ACTIVE
from guestmux.cli.completing import complete_sessions
from guestmux.cli.display_geometry import read_geometry, read_setting
from guestmux.cli.options import as_json, call_timeout, connecting, in_session, talk, wait_agent
from guestmux.cli.output import say, say_json, say_table
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.guest import Guest
from guestmux_protocol.display_commands import Display, DisplayMode, DisplaySetting, DisplayState

_COLUMNS = ("DISPLAY", "MODE", "PLACE", "SHOWS", "SCALE", "ROTATION", "MONITOR")


@click.group()
@connecting
def displays() -> None:
    """List a session's displays, and set their size, place, scale and rotation."""


@displays.command("list", epilog=SESSIONS)
@in_session
@click.option("--all", "everything", is_flag=True, help="Connectors as well that nothing is plugged in to.")
@wait_agent
@call_timeout
@as_json
@connecting
def list_displays(
    session: str, everything: bool, wait_agent: float | None, timeout: float | None, as_json: bool
) -> None:
    """List the displays. The desktop's first has a star, where it has one."""

    async def work(guest: Guest) -> None:
        found = await guest.displays(session, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(found)
        else:
            _show([one for one in found.displays if everything or one.connected or one.enabled])

    talk(work)


@displays.command("modes", epilog=SESSIONS)
@click.argument("display")
@click.option("-s", "--session", default=ACTIVE, show_default=True, shell_complete=complete_sessions)
@wait_agent
@call_timeout
@connecting
def modes(display: str, session: str, wait_agent: float | None, timeout: float | None) -> None:
    """Print the modes that a DISPLAY has, one a line. Virtual displays take any other as well."""

    async def work(guest: Guest) -> None:
        found = await guest.displays(session, wait=wait_agent, timeout=timeout)
        for mode in _named(found.displays, display).modes:
            say(_mode(mode))

    talk(work)


@displays.command(
    "set",
    epilog=paragraphs(
        "GEOMETRY is WIDTHxHEIGHT[@HERTZ][+X+Y], 'on' or 'off'.",
        SESSIONS,
        examples(
            "guestmux displays set Virtual-1 --mode 1920x1080",
            "guestmux displays set Virtual-1=1920x1080+0+0 Virtual-2=1280x1024+1920+0",
            "guestmux displays set -s user:alice Virtual-2=off",
            "guestmux displays set HEADLESS-1 --scale 1.5 --rotate left",
        ),
    ),
)
@click.argument("wanted", nargs=-1, required=True, metavar="DISPLAY[=GEOMETRY]...")
@click.option(
    "--mode", metavar="WIDTHxHEIGHT[@HERTZ]", help="Its size. One that it does not list is made for it."
)
@click.option("--place", metavar="+X+Y", help="Where its upper left corner is on the desktop.")
@click.option("--scale", type=click.FloatRange(0.1, 10), help="Pixels for one of the desktop; Wayland alone.")
@click.option(
    "--rotate", type=click.Choice(["normal", "left", "inverted", "right"]), help="Turn its picture."
)
@click.option("--mirror/--no-mirror", default=None, help="Mirror its picture from left to right.")
@click.option("--primary", is_flag=True, help="Make it the desktop's first; X11 and GNOME.")
@click.option("--on/--off", "enabled", default=None, help="Switch it on or off.")
@click.option("--test", is_flag=True, help="Only find out whether it could be done.")
@click.option("-s", "--session", default=ACTIVE, show_default=True, shell_complete=complete_sessions)
@wait_agent
@call_timeout
@as_json
@connecting
def set_displays(
    wanted: Sequence[str],
    session: str,
    test: bool,
    wait_agent: float | None,
    timeout: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Set displays: all as asked, or none. What is not named stays as it is.

    The options are for one DISPLAY; several have a GEOMETRY each. Prints all displays as they are afterwards.
    """
    settings = _settings(wanted, _members(**options))

    async def work(guest: Guest) -> None:
        after = await guest.set_displays(settings, session, test=test, wait=wait_agent, timeout=timeout)
        if as_json:
            say_json(after)
        elif not test:
            _show([one for one in after.displays if one.connected or one.enabled])

    talk(work)


def _members(
    *,
    mode: str | None,
    place: str | None,
    scale: float | None,
    rotate: str | None,
    mirror: bool | None,
    primary: bool,
    enabled: bool | None,
) -> dict[str, Any]:
    """Of a setting those that options give."""
    members: dict[str, Any] = {}
    for text in filter(None, (mode, place)):
        members |= read_geometry(text)
    given = {
        "scale": scale,
        "rotation": rotate,
        "mirrored": mirror,
        "primary": primary or None,
        "enabled": enabled,
    }
    return members | {name: value for name, value in given.items() if value is not None}


def _settings(wanted: Sequence[str], members: dict[str, Any]) -> list[DisplaySetting]:
    if len(wanted) > 1 and members:
        raise click.UsageError("the options are for one display; give several a GEOMETRY each")
    settings = []
    for text in wanted:
        name, sign, geometry = text.partition("=")
        told = {**(read_geometry(geometry) if sign else {}), **members}
        if not told:
            raise click.UsageError(f"display '{name}': nothing is to be set")
        settings.append(read_setting(name, told))
    return settings


def _show(found: Sequence[DisplayState]) -> None:
    say_table(_COLUMNS, map(_row, found))


def _row(one: DisplayState) -> tuple[str, ...]:
    name = f"{one.name}*" if one.primary is True else one.name
    monitor = " ".join(text for text in (one.make, one.model) if isinstance(text, str))
    if not one.enabled:
        return name, "off" if one.connected else "nothing connected", "", "", "", "", monitor
    mode = _mode(one.mode) if isinstance(one.mode, DisplayMode) else ""
    rotation = f"{one.rotation}, mirrored" if one.mirrored else one.rotation
    scale = f"{one.scale:g}" if isinstance(one.scale, float) else ""
    return (
        name,
        mode,
        f"+{one.x}+{one.y}",
        f"{one.width or '?'}x{one.height or '?'}",
        scale,
        rotation,
        monitor,
    )


def _mode(mode: DisplayMode) -> str:
    return f"{mode.width}x{mode.height}" + (f"@{mode.refresh:g}" if mode.refresh else "")


def _named(found: Sequence[Display], name: str) -> Display:
    for one in found:
        if one.name == name:
            return one
    raise click.UsageError(
        f"there is no display '{name}'; `guestmux displays list --all` tells which there are"
    )
