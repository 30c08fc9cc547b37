"""Says in a command's answer what a call on the bus failed with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from guestmux_session.errors import CommandError, Disconnected
from guestmux_transport.errors import BusError, BusLost, CallError, CallTimeout


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what a bus call raises into a CommandError.

    Args:
        what: what could not be done, as "logind could not lock the session".

    Raises:
        CommandError: in place of BusError and Disconnected.
    """
    try:
        yield
    except CallError as error:
        raise CommandError(f"{what}: {error.text or error.name}") from error
    except (CallTimeout, BusLost) as error:
        raise CommandError(f"{what}: {error}; it may or may not have happened") from error
    except (BusError, Disconnected) as error:
        raise CommandError(f"{what}: {error}") from error
