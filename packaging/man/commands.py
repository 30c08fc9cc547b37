"""Prints guestmux.1 with the commands as `guestmux --help` knows them: `commands.py MODULES PAGE`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import click

from guestmux.cli.app import root

MARK = '.\\" made: commands\n'


def escaped(text: str) -> str:
    """Text as a line of mdoc(7); click keeps the lines of a paragraph that begins with a backspace."""
    line = " ".join(text.replace("\b", "").split()).replace("\\", "\\e").replace('"', "\\(dq")
    line = re.sub(r"(?<=[.?!]) +(?=[A-Z])", "\n", line)
    return re.sub(r"^(?=[.'])", r"\\&", line, flags=re.MULTILINE)


def sentences(text: str) -> Iterator[str]:
    """A help text, paragraph by paragraph."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".Pp"
        first, *others = (line for line in paragraph.split("\n") if line.strip("\b "))
        if "\b" in paragraph:
            yield from (escaped(first), ".Bd -literal -offset indent", *map(escaped, others), ".Ed")
        else:
            yield escaped(paragraph)


def option_lines(option: click.Option, context: click.Context) -> Iterator[str]:
    """An option's entry in a list."""
    flags = " , ".join(f"Fl {flag[1:]}" for flag in [*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" Ar {escaped(option.make_metavar(context))}"
    yield f".It {flags}{value}"
    yield escaped(option.help or "")
    said = option.is_flag or "Default" in (option.help or "")
    if isinstance(option.default, str | int | float) and option.default != "" and not said:
        yield f"Default: {escaped(str(option.default))}."


def command_lines(
    path: str, command: click.Command, common: set[str], context: click.Context
) -> Iterator[str]:
    """A command's section, and those of its subcommands."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from command_lines(f"{path} {name}", inner, common, context)
        return
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    yield f".Ss {escaped(' '.join([path, *arguments]))}"
    yield from sentences(command.help or "")
    options = [p for p in command.params if isinstance(p, click.Option) and p.name not in common]
    if options:
        yield ".Bl -tag -width Ds"
        for option in options:
            yield from option_lines(option, context)
        yield ".El"
    if command.epilog:
        yield from (".Pp", *sentences(command.epilog))


def commands_section(root: click.Group) -> str:
    """What stands below COMMANDS: the options of all commands, then each command with its own."""
    context = click.Context(root)
    common = {p.name for p in root.params} | {"help"}
    lines = ["All commands take", ".Bl -tag -width Ds"]
    for option in root.params:
        if isinstance(option, click.Option):
            lines += option_lines(option, context)
    lines += [".It Fl h , Fl -help", "Show a summary and exit.", ".El"]
    for name, command in root.commands.items():
        lines += command_lines(name, command, common, context)
    return "\n".join(line for line in lines if line) + "\n"


if __name__ == "__main__":
    page = Path(sys.argv[2]).read_text()
    if MARK not in page:
        sys.exit(f"{sys.argv[2]} lacks its mark")
    print(page.replace(MARK, commands_section(root)), end="")
