"""The lists of `--block-rpcs` and `--allow-rpcs`: checked, so that one written wrongly never blocks less than meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from guestmux_eventd.policy import Policy, PolicyRule
from guestmux_protocol.errors import MAX_SHOWN
from guestmux_qga.options import ConfigurationError, Options

ELSEWHERE = frozenset(
    {
        "guest-get-devices",
        "guest-get-disks",
        "guest-get-load",
        "guest-network-get-route",
        "guest-suspend-hybrid",
    }
)
"""Commands that qemu-ga has in some build or version (10.2, Windows too); a list may name one that is not served."""


def check_lists(options: Options, known: Collection[str]) -> None:
    """Refuse lists and configuration keys that do not say what their writer meant.

    qemu-ga takes them, and blocks nothing: `block-rpcs=guest-exec;guest-file-open` is one unknown name to it.

    Args:
        options: with the lists.
        known: the commands that are served.

    Raises:
        ConfigurationError: a name in a list is unknown, or a key of the file is.
    """
    if options.unknown:
        raise ConfigurationError(f"unknown key in the configuration: {_shown(options.unknown)}")
    for option, names in (("block-rpcs", options.blocked), ("allow-rpcs", options.allowed)):
        if any(";" in name for name in names):
            raise ConfigurationError(f"{option}: names are separated by commas, not by ';'")
        if unknown := [name for name in names if name not in known and name not in ELSEWHERE]:
            raise ConfigurationError(f"{option}: no such command: {_shown(unknown)}; -b help lists them")


def make_policy(options: Options) -> Policy:
    """The lists as a policy: the blocked ones are refused, and those that are not allowed where any are.

    Unlike eventd's own policy it may refuse any command, guest-ping too, as qemu-ga's may.
    """
    if not (options.blocked or options.allowed):
        return Policy()
    rule = PolicyRule(allow=options.allowed or None, deny=options.blocked)
    return Policy([rule], always=frozenset())


def _shown(names: Iterable[str]) -> str:
    return ", ".join(repr(name[:MAX_SHOWN]) for name in names)
