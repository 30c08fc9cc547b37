"""Who a bus client is: uid and pid from the bus, the session from logind. Nothing that it says itself is believed."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import Protocol

from guestmux_eventd.refusal import NOT_IN_SESSION, Refusal
from guestmux_protocol.sessions import Session
from guestmux_transport.bus import Bus

SYSTEM = "system"
"""The session of agents that serve the whole guest; only root's."""

BACKEND = "qemu-ga"
"""The session of the stock qemu-ga behind eventd, whose commands run where the system agent has none of that name."""


@dataclass(frozen=True)
class Identity:
    """A bus client, as bus and kernel know it."""

    uid: int
    pid: int
    user: str


class Logins(Protocol):
    """What is asked of the login source."""

    async def session_of_process(self, pid: int) -> str:
        """The session that a process runs in; empty for none."""

    async def display_of_user(self, uid: int) -> str:
        """The user's primary session; empty for none."""

    async def known(self, session_id: str) -> Session | None:
        """The session, also when it began this moment."""


async def identify(bus: Bus, sender: str) -> Identity:
    """Ask the bus who a client is.

    Raises:
        BusError: it left, or the bus does not tell.
    """
    credentials = await bus.credentials(sender)
    if credentials.pidfd is not None:
        os.close(credentials.pidfd)
    return Identity(credentials.uid, credentials.pid, _user_name(credentials.uid))


async def session_of(identity: Identity, untrusted_claim: str, logins: Logins) -> str:
    """The session that a client's agent belongs to.

    Args:
        identity: who the client is.
        untrusted_claim: the session that it says it is in; empty where it says nothing.
        logins: the login source.

    Raises:
        Refusal: it is in no session, or claims one that is not its own.
        BusError: logind cannot be asked.
    """
    if untrusted_claim == SYSTEM:
        if identity.uid != 0:
            raise Refusal(NOT_IN_SESSION, "only an agent that runs as root can serve the system")
        return SYSTEM
    by_process = await logins.session_of_process(identity.pid)
    if untrusted_claim:
        return await _claimed(identity, untrusted_claim, by_process, logins)
    # A systemd --user service runs outside every session's scope.
    candidate = by_process or await logins.display_of_user(identity.uid)
    session = await logins.known(candidate) if candidate else None
    if session is None or session.uid != identity.uid:
        where = f"in a session of another user ({candidate})" if session else "in no login session"
        way_out = "start the agent from one of the user's own"
        way_out += "" if identity.uid else f", or claim the session '{SYSTEM}', as root may"
        desc = f"process {identity.pid} of {identity.user} runs {where}; {way_out}"
        raise Refusal(NOT_IN_SESSION, desc)
    return session.session


async def _claimed(identity: Identity, untrusted_claim: str, by_process: str, logins: Logins) -> str:
    session = await logins.known(untrusted_claim)
    shown = untrusted_claim[:64]
    if session is None or session.uid != identity.uid:
        raise Refusal(NOT_IN_SESSION, f"'{shown}' is no session of {identity.user}")
    if by_process and by_process != session.session:
        raise Refusal(NOT_IN_SESSION, f"the process runs in session '{by_process}', not in '{shown}'")
    return session.session


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
