"""`guestmux completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from guestmux.cli.output import say
from guestmux.cli.usage import examples


@click.command(
    epilog=examples(
        "guestmux completion bash > ~/.local/share/bash-completion/completions/guestmux",
        "guestmux completion fish > ~/.config/fish/completions/guestmux.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete commands, sessions and the guest's own commands."""
    kind = get_completion_class(shell)
    root = context.find_root()
    if kind is None:
        raise click.ClickException(f"this version of click has no completion for {shell}")
    say(kind(root.command, {}, "guestmux", "_GUESTMUX_COMPLETE").source())
