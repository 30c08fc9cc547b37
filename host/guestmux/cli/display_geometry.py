"""How people write what a display is to show: `1920x1080@60+1280+0`, `off`."""

from __future__ import annotations

import re
from typing import Any

import click
from msgspec import ValidationError, convert

from guestmux_protocol.display_commands import DisplaySetting

_MODE = re.compile(r"(?P<width>\d{1,6})x(?P<height>\d{1,6})(?:@(?P<refresh>\d{1,4}(?:\.\d{1,3})?))?")
_PLACE = re.compile(r"(?P<x>[+-]\d{1,6})(?P<y>[+-]\d{1,6})")
_WHOLE = re.compile(f"(?:{_MODE.pattern})?(?:{_PLACE.pattern})?")


def read_geometry(text: str) -> dict[str, Any]:
    """The members of a setting.

    Raises:
        click.UsageError: it is no geometry.
    """
    if text in ("on", "off"):
        return {"enabled": text == "on"}
    found = _WHOLE.fullmatch(text)
    if not text or found is None:
        raise click.UsageError(f"'{text}' is neither 'on', 'off' nor WIDTHxHEIGHT[@HERTZ][+X+Y]")
    members = {name: int(found[name]) for name in ("width", "height", "x", "y") if found[name] is not None}
    return {**members, "refresh": float(found["refresh"])} if found["refresh"] else {**members}


def read_setting(name: str, members: dict[str, Any]) -> DisplaySetting:
    """What a display is to be set to.

    Raises:
        click.UsageError: no display can be so.
    """
    try:
        return convert({"name": name, **members}, DisplaySetting)
    except ValidationError as error:
        raise click.UsageError(f"display '{name}': {error}") from error
