"""qemu-ga's command line, read as getopt_long reads it: an optional argument, abbreviations, options anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from guestmux_protocol.errors import GuestmuxError
from guestmux_qga.options import DEFAULT_CONFIG, DEFAULT_HOOK, Options, load_file, split_list

HELP_WORDS = frozenset({"help", "?"})
"""In a list's place these ask for the names that it may have (is_help_option in QEMU's help_option.h)."""


class Takes(Enum):
    """What follows an option."""

    NOTHING = "nothing"
    VALUE = "a value"
    OPTIONAL = "a value in the same word, or nothing"


class Ask(Enum):
    """What is printed instead of running."""

    HELP = "help"
    VERSION = "version"
    COMMANDS = "commands"


class UsageError(GuestmuxError):
    """The command line is none of ours."""


@dataclass(frozen=True)
class _Option:
    letter: str
    word: str
    takes: Takes = Takes.NOTHING


OPTIONS = (
    _Option("m", "method", Takes.VALUE),
    _Option("p", "path", Takes.VALUE),
    _Option("l", "logfile", Takes.VALUE),
    _Option("f", "pidfile", Takes.VALUE),
    _Option("F", "fsfreeze-hook", Takes.OPTIONAL),
    _Option("t", "statedir", Takes.VALUE),
    _Option("b", "block-rpcs", Takes.VALUE),
    _Option("b", "blacklist", Takes.VALUE),
    _Option("a", "allow-rpcs", Takes.VALUE),
    _Option("c", "config", Takes.VALUE),
    _Option("v", "verbose"),
    _Option("V", "version"),
    _Option("d", "daemonize"),
    _Option("D", "dump-conf"),
    _Option("r", "retry-path"),
    _Option("h", "help"),
)

_LETTERS = {option.letter: option for option in reversed(OPTIONS)}
_STRINGS = {"m": "method", "p": "path", "l": "logfile", "f": "pidfile", "t": "statedir"}
_FLAGS = {"v": "verbose", "d": "daemonize", "D": "dump", "r": "retry_path"}
_ASKS = {"V": Ask.VERSION, "h": Ask.HELP}


def read_options(arguments: list[str], environment: Mapping[str, str]) -> Options | Ask:
    """Read the configuration file, then the command line over it.

    Args:
        arguments: without the program's name.
        environment: QGA_CONF names the file where `-c` does not.

    Returns:
        the options; or what is asked for instead, by the first such word.

    Raises:
        UsageError: an option is unknown, or lacks its value.
        ConfigurationError: the file cannot be used.
    """
    given = list(scan(arguments))
    if ask := next((ask for letter, value in given if (ask := _ask(letter, value))), None):
        return ask
    options = Options()
    named = [value for letter, value in given if letter == "c" and value is not None]
    path = named[-1] if named else environment.get("QGA_CONF", DEFAULT_CONFIG)
    load_file(options, path, required=bool(named))
    for letter, value in given:
        _apply(options, letter, value)
    return options


def scan(arguments: list[str]) -> Iterator[tuple[str, str | None]]:
    """The options by letter, each with its value; words that are no options are passed over, as qemu-ga does.

    Raises:
        UsageError: an option is unknown, or lacks its value.
    """
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        if word.startswith("--"):
            yield _long(word[2:], words)
        elif word.startswith("-") and word != "-":
            yield from _short(word[1:], words)


def _short(letters: str, words: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    while letters:
        option, letters = _LETTERS.get(letters[0]), letters[1:]
        if option is None:
            raise UsageError("unknown option")
        if option.takes is Takes.NOTHING:
            yield option.letter, None
            continue
        value = letters or None
        if value is None and option.takes is Takes.VALUE:
            value = _next(option, words)
        yield option.letter, value
        return


def _long(text: str, words: Iterator[str]) -> tuple[str, str | None]:
    word, equals, value = text.partition("=")
    option = _find(word)
    if option.takes is Takes.NOTHING and equals:
        raise UsageError(f"option '--{option.word}' takes no value")
    if equals or option.takes is not Takes.VALUE:
        return option.letter, value if equals else None
    return option.letter, _next(option, words)


def _find(word: str) -> _Option:
    meant = [option for option in OPTIONS if option.word.startswith(word)]
    exact = [option for option in meant if option.word == word]
    if exact or len({option.letter for option in meant}) == 1:
        return (exact or meant)[0]
    raise UsageError(f"option '--{word}' is {'ambiguous' if meant else 'unknown'}")


def _next(option: _Option, words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None:
        raise UsageError(f"option '--{option.word}' needs a value")
    return value


def _ask(letter: str, value: str | None) -> Ask | None:
    if letter in "ab" and value in HELP_WORDS:
        return Ask.COMMANDS
    return _ASKS.get(letter)


def _apply(options: Options, letter: str, value: str | None) -> None:
    if letter in _FLAGS:
        setattr(options, _FLAGS[letter], True)
    elif letter in _STRINGS:
        setattr(options, _STRINGS[letter], value)
    elif letter == "F":
        options.hook = DEFAULT_HOOK if value is None else value
    elif letter in "ab":
        (options.allowed if letter == "a" else options.blocked).extend(split_list(value or ""))
