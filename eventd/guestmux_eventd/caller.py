"""Who a command comes from, as the router needs to know it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Caller:
    """One host connection.

    Attributes:
        port: the address of the port that it is on.
        dialect: what is spoken on it.
    """

    port: str
    dialect: str

    @property
    def outlived(self) -> bool:
        """Whether files and processes outlive the connection: so in qemu-ga, whose hosts connect for each command."""
        return self.dialect == "qga"

    @property
    def owner(self) -> Hashable:
        """What files and processes belong to: this connection, or all of this port."""
        return ("qga", self.port) if self.outlived else self
