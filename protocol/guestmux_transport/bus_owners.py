"""Who owns which name on the bus, from the bus's own NameOwnerChanged signals alone.

A plain table: it is told of each change and says who has to be called.
"""

from collections.abc import Callable, Iterable

from guestmux_transport.names import DBUS_NAME, is_unique

GoneHandler = Callable[[str], None]


class Owners:
    """The well-known names that handlers depend on, and the unique names that are watched."""

    def __init__(self) -> None:
        self._owner: dict[str, str | None] = {}
        self._uses: dict[str, int] = {}
        self._watchers: dict[str, list[GoneHandler]] = {}

    def track(self, name: str) -> bool:
        """Begin to follow a name; True when its owner has to be asked for."""
        self._uses[name] = self._uses.get(name, 0) + 1
        return name not in self._owner and name != DBUS_NAME and not is_unique(name)

    def untrack(self, name: str) -> None:
        """End one use of a name."""
        self._uses[name] -= 1
        if not self._uses[name]:
            del self._uses[name]
            self._owner.pop(name, None)

    def found(self, name: str, owner: str | None) -> None:
        """Take the bus's answer to GetNameOwner, unless a change that came since has said it better."""
        if name in self._uses:
            self._owner.setdefault(name, owner)

    def owns(self, unique_name: str | None, name: str) -> bool:
        """Whether a message's sender is the current owner of a name."""
        if unique_name is None:
            return False
        return unique_name == name or self._owner.get(name) == unique_name

    def changed(self, name: str, new_owner: str | None) -> Iterable[GoneHandler]:
        """Take a NameOwnerChanged; gives the handlers that wait for that unique name to leave."""
        if name in self._uses:
            self._owner[name] = new_owner
        return self._watchers.pop(name, ()) if new_owner is None else ()

    def watch(self, unique_name: str, handler: GoneHandler) -> bool:
        """Wait for a unique name to leave; True when it is the first to do so."""
        handlers = self._watchers.setdefault(unique_name, [])
        handlers.append(handler)
        return len(handlers) == 1

    def unwatch(self, unique_name: str, handler: GoneHandler) -> None:
        """Take back a `watch`; does nothing when the name has left."""
        handlers = self._watchers.get(unique_name, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers:
            self._watchers.pop(unique_name, None)
