"""What is answered from memory: qemu-ga's few commands of this kind, and none of eventd's own."""

from __future__ import annotations

from guestmux_eventd.native import NativeCommands

OWN = frozenset({"guest-sync", "guest-sync-delimited", "guest-ping", "guest-info"})
"""The commands of eventd that qemu-ga has as well. Sessions and events need logind and a bus, which are not here."""


class OwnCommands(NativeCommands):
    """eventd's commands, as far as qemu-ga has them."""

    def serves(self, command: str, dialect: str) -> bool:
        """Whether it is answered here."""
        del dialect
        return command in OWN
