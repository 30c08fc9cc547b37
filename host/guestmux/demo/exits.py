"""The demo's exit statuses; 2 is argparse's."""

from typing import Final

EXIT_HELD: Final = 0
EXIT_MISSED: Final = 1
EXIT_NOT_SET_UP: Final = 3
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as a shell gives."""
