"""The order in which qemu-ga lists its commands: the newest first."""

from __future__ import annotations

from collections.abc import Iterable

PEER_ORDER = (
    "guest-get-load",
    "guest-network-get-route",
    "guest-get-cpustats",
    "guest-get-diskstats",
    "guest-ssh-remove-authorized-keys",
    "guest-ssh-add-authorized-keys",
    "guest-ssh-get-authorized-keys",
    "guest-get-devices",
    "guest-get-osinfo",
    "guest-get-timezone",
    "guest-get-users",
    "guest-get-host-name",
    "guest-exec",
    "guest-exec-status",
    "guest-get-memory-block-info",
    "guest-set-memory-blocks",
    "guest-get-memory-blocks",
    "guest-set-user-password",
    "guest-get-fsinfo",
    "guest-get-disks",
    "guest-set-vcpus",
    "guest-get-vcpus",
    "guest-network-get-interfaces",
    "guest-suspend-hybrid",
    "guest-suspend-ram",
    "guest-suspend-disk",
    "guest-fstrim",
    "guest-fsfreeze-thaw",
    "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-status",
    "guest-file-flush",
    "guest-file-seek",
    "guest-file-write",
    "guest-file-read",
    "guest-file-close",
    "guest-file-open",
    "guest-shutdown",
    "guest-info",
    "guest-set-time",
    "guest-get-time",
    "guest-ping",
    "guest-sync",
    "guest-sync-delimited",
)
"""guest-info's order in qemu-ga 7.2, with what came later before it."""

_PLACES = {name: place for place, name in enumerate(PEER_ORDER)}


def in_peer_order(names: Iterable[str]) -> list[str]:
    """Command names as guest-info lists them: what qemu-ga does not have is newer, and comes first, by name."""
    return sorted(names, key=lambda name: (_PLACES.get(name, -1), name))
