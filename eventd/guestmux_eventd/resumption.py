"""What a run of eventd makes of what the last one told: it says what has ended, and knows the rest."""

from __future__ import annotations

from guestmux_eventd.agent_table import EVENTD_ENDED, agent_gone
from guestmux_eventd.claims import Claims
from guestmux_eventd.session_table import REBOOT, Emission, SessionTable
from guestmux_eventd.told import Told, ToldAgent, ToldSeat, ToldSession
from guestmux_protocol.events import SessionActive


def resume(told: Told, sessions: SessionTable, claims: Claims) -> list[Emission]:
    """Go on from what was told.

    Agents have to register anew, so that all are gone; what they claimed holds until they claim otherwise. Sessions of
    an earlier boot of the machine are over; those of this one are known from here on as they were told, and logind says
    what has become of them.

    Args:
        told: by the last run.
        sessions: takes them in.
        claims: takes in who said what about them.

    Returns:
        what is to be told.
    """
    emissions = [agent_gone(each.session, each.agent, EVENTD_ENDED) for each in told.of(ToldAgent)]
    for standing in sorted(told.of(ToldSession), key=lambda each: each.session().login_time):
        emissions += _take_in(standing, sessions, claims, over=_is_over(standing, told))
    for seat in told.of(ToldSeat):
        if _is_over(seat, told):
            emissions.append(("SESSION_ACTIVE", SessionActive(seat=seat.seat)))
        else:
            sessions.restore_foreground(seat.seat, seat.session)
    return emissions


def _take_in(standing: ToldSession, sessions: SessionTable, claims: Claims, *, over: bool) -> list[Emission]:
    session = standing.session()
    sessions.restore(session, unconfirmed=standing.locked == "unconfirmed")
    if over:
        return sessions.remove(session.session, REBOOT)
    if standing.locked:
        claims.restore(session.session, "locked", standing.locked)
    if standing.idle:
        claims.restore(session.session, "idle", standing.idle)
    return []


def _is_over(standing: ToldSession | ToldSeat, told: Told) -> bool:
    return bool(standing.boot and told.boot) and standing.boot != told.boot
