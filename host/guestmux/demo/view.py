"""What the reader sees: narrow lines, coloured on a terminal, plain in a pipe or a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import guestmux
from guestmux.demo.latency import Latencies

PLAIN_WIDTH: Final = 100
"""Columns where there is no terminal to ask."""

_COLOURS: Final = {"SESSION": "cyan", "AGENT": "green", "POWER": "yellow"}
_SHOWN_APART: Final = frozenset({"epoch", "seq", "source", "session", "user"})
_LEFT_OUT: Final = frozenset(
    {"uid", "commands", "version", "service", "type", "class", "session-class", "remote"}
)
"""Members of events that the reader knows already."""

_PLAIN: Final = frozenset({"agent", "desktop", "reason", "seat"})
"""Members whose values say what they are."""


class View:
    """Writes the demo's lines."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()
        self._began = time.monotonic()
        plain = self._console.encoding.lower() not in {"utf-8", "utf8"}
        self._yes, self._no, self._rule = ("ok", "NOT", "-") if plain else ("✓", "✗", "─")

    def opening(self, setting: Sequence[str], address: str) -> None:
        """Say what is being shown."""
        self._line("[bold]guestmux[/]: a host hears of its guest's sessions, and calls into each")
        for fact in setting:
            self._line(f"  [dim]{escape(fact)}[/]")
        self._line(f"  [dim]the host: {escape(address)}[/]")

    def act(self, number: int, title: str) -> None:
        """Begin an act."""
        self._line("")
        self._line(f"[bold]{number} {escape(title)}[/] {self._rule * max(3, 60 - len(title))}")

    def event(self, event: guestmux.Event, milliseconds: float) -> None:
        """Show an event as the host got it."""
        colour = _COLOURS.get(event.name.partition("_")[0], "white")
        who = " ".join(str(event.data[name]) for name in ("session", "user") if name in event.data)
        if event.name == "SESSION_ACTIVE" and not who:
            who = "nobody"
        rest = f"{who:<10} {_details(event.data)}"
        self._moment(
            f"[{colour}]{escape(event.name):<17}[/] {escape(rest):<30} [dim]{milliseconds:4.1f} ms[/]"
        )

    def call(self, asked: str, answer: str, milliseconds: float) -> None:
        """Show a call of the host, and what came back."""
        self._moment(f"[magenta]call[/] {escape(asked)} [dim]{milliseconds:.1f} ms[/]")
        self._line(f"         -> {escape(answer)}")

    def said(self, text: str) -> None:
        """Show something that happens in the guest."""
        self._moment(f"[dim]{escape(text)}[/]")

    def held(self, text: str) -> None:
        """Something was checked, and is so."""
        self._line(f"       [green]{self._yes}[/] {escape(text)}")

    def not_held(self, text: str) -> None:
        """Something is not so."""
        self._line(f"       [bold red]{self._no}[/] {escape(text)}")

    def sessions(self, sessions: Iterable[guestmux.Session]) -> None:
        """Show the sessions as a table."""
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for column in ("       session", "user", "seat", "foreground", "locked", "agent"):
            table.add_column(column)
        for each in sessions:
            agents = ", ".join(f"{agent.name} {agent.version}" for agent in each.agents)
            table.add_row(
                f"       {each.session}",
                each.user,
                each.seat,
                _value(each.active),
                _value(each.locked),
                agents,
            )
        self._console.print(table)

    def summary(self, shown: Sequence[str], missed: Sequence[str], events: str, calls: Latencies) -> None:
        """Show how it went.

        Args:
            shown: what held.
            missed: what did not.
            events: how many, and how fast.
            calls: how fast.
        """
        self._line("")
        self._line(f"[bold]Summary[/] {self._rule * 53}")
        for text in missed:
            self.not_held(text)
        self._line(f"  shown   {escape(', '.join(shown))}")
        self._line(f"  events  {events}")
        self._line(f"  calls   {calls}, from the host into a session and back")
        verdict = f"[bold red]{len(missed)} did not hold[/]" if missed else "[bold green]everything held[/]"
        self._line(f"  result  {verdict}, {time.monotonic() - self._began:.1f} s")

    def commands(self, commands: Sequence[tuple[str, str]]) -> None:
        """Show what to try, each line to be copied as it is."""
        self._line("")
        self._line("[bold]Everything still runs. To try, in another terminal:[/]")
        for command, meaning in commands:
            self._line(f"  [dim]# {escape(meaning)}[/]")
            self._line(f"  {escape(command)}")
        self._line("[bold]Ctrl-C ends it.[/]")

    def _moment(self, markup: str) -> None:
        self._line(f"{time.monotonic() - self._began:6.2f} {markup}")

    def _line(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True)


def _details(data: dict[str, Any]) -> str:
    shown = {name: value for name, value in data.items() if name not in _SHOWN_APART | _LEFT_OUT}
    return " ".join(
        str(value) if name in _PLAIN else f"{name}={_value(value)}" for name, value in shown.items()
    )


def _value(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
