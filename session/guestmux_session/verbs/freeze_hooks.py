"""Programs of the administrator's that run before a freeze and after a thaw: flush a database, let it go on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from guestmux_session.errors import CommandError
from guestmux_session.verbs.programs import run_program

HOOK_SECONDS = 60.0
"""Seconds that one hook has. A database that takes longer to flush should say so in the configuration."""

LEFT_OVER = ("~", ".bak", ".orig", ".sample", ".dpkg-", ".rpmnew", ".rpmorig", ".rpmsave")
"""What marks a file in a folder of hooks as none: what editors and package managers leave there."""

Phase = Literal["freeze", "thaw"]

logger = logging.getLogger(__name__)


class FreezeHooks:
    """The hooks, run as `HOOK freeze` in their order, and as `HOOK thaw` in the reverse.

    Args:
        optional: programs, or folders of programs that run by name; those that are not there are left out.
        required: as `optional`, but a freeze fails without them.
        seconds: how long one may run.
    """

    def __init__(
        self, optional: Sequence[Path] = (), required: Sequence[Path] = (), seconds: float = HOOK_SECONDS
    ) -> None:
        self._optional = tuple(optional)
        self._required = tuple(required)
        self._seconds = seconds

    def freeze(self) -> None:
        """Tell all of a freeze. Where one fails, all are told of a thaw, since those before are waiting for it.

        Raises:
            CommandError: one failed, or is missing.
        """
        hooks = list(self._found())
        try:
            for hook in hooks:
                self._run(hook, "freeze")
        except CommandError:
            self._tell_thawed(hooks)
            raise

    def thaw(self) -> None:
        """Tell all of a thaw.

        Raises:
            CommandError: some failed; all were told.
        """
        if failures := self._tell_thawed(list(self._found())):
            raise failures[0]

    def _tell_thawed(self, hooks: list[Path]) -> list[CommandError]:
        failures = []
        for hook in reversed(hooks):
            try:
                self._run(hook, "thaw")
            except CommandError as error:
                logger.warning("%s thaw: %s", hook, error.desc)
                failures.append(error)
        return failures

    def _run(self, hook: Path, phase: Phase) -> None:
        logger.info("executing fsfreeze hook '%s' with arg '%s'", hook, phase)
        run_program([str(hook), phase], "execute fsfreeze hook", seconds=self._seconds)

    def _found(self) -> Iterator[Path]:
        for path in (*self._required, *self._optional):
            if path.is_dir():
                yield from sorted(each for each in path.iterdir() if _is_hook(each))
            elif os.access(path, os.X_OK):
                yield path
            elif path in self._required:
                raise CommandError(f"can't access fsfreeze hook '{path}'")


def _is_hook(path: Path) -> bool:
    hidden = path.name.startswith(".") or any(mark in path.name for mark in LEFT_OVER)
    return not hidden and path.is_file() and os.access(path, os.X_OK)
