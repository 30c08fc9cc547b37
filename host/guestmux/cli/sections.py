"""A group of commands whose help lists them by what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

WHOLE = 1000
"""Characters of a command's first sentence: all; click wraps it, instead of ending it with dots."""


class SectionedGroup(click.Group):
    """As click's, with a heading for each theme."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections: dict[str, list[click.Command]] = {}

    def add_section(self, title: str, commands: Iterable[click.Command]) -> None:
        """Add commands, in the order in which help shows them."""
        self._sections[title] = list(commands)
        for command in self._sections[title]:
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them; called by click."""
        width = max(len(str(command.name)) for one in self._sections.values() for command in one)
        for title, commands in self._sections.items():
            rows = [(str(one.name).ljust(width), one.get_short_help_str(WHOLE)) for one in commands]
            with formatter.section(title):
                formatter.write_dl(rows)
