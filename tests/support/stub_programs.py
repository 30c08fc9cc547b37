"""Programs in the place of the system's, where running the real ones would switch the machine off."""

from pathlib import Path

STUB = """#!/bin/sh
printf '%s\\n' "${{0##*/}} $*" >>{log}
{body}
"""


class StubPrograms:
    """A folder of executables that write down how they were called.

    Args:
        folder: where they are; must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self._log = folder / "calls"
        self._log.touch()

    def add(self, name: str, body: str = "") -> None:
        """Add a program; the body is shell."""
        program = self.path / name
        program.write_text(STUB.format(log=self._log, body=body))
        program.chmod(0o755)

    def calls(self) -> list[str]:
        """Each call so far: name and arguments."""
        return self._log.read_text().splitlines()
