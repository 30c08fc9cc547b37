"""The closing parts of --help: examples and exit statuses, in lines that are kept as they are."""

from __future__ import annotations

# click keeps the lines of a paragraph that begins with this.
_VERBATIM = "\b\n"

EXIT_STATUSES = (
    _VERBATIM
    + """Exit status:
  0    success
  1    the guest says that the command failed
  2    usage: wrong options or arguments
  124  no reply in time; the command may or may not have run
  125  guestmux itself failed: it cannot connect, or the connection was lost
  126  the guest's policy refused the command; exec: it could not be started
  127  the guest has no such command; exec: there is no such program
  130  interrupted"""
)

SESSIONS = "SESSION is an id as in `guestmux sessions`, user:NAME, or 'active': the foreground of seat0."


def examples(*lines: str) -> str:
    """A paragraph of command lines."""
    return _VERBATIM + "\n  ".join(["Examples:" if len(lines) > 1 else "Example:", *lines])


def paragraphs(*texts: str) -> str:
    """Several paragraphs."""
    return "\n\n".join(texts)
