"""`python -m guestmux`: the command line."""

from guestmux.cli import main

main()
