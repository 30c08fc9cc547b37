"""What a guest that answers says of itself."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

import anyio

from guestmux import __version__
from guestmux.errors import CallTimeout, CommandFailed, CommandNotFound, GuestmuxError, RemoteError
from guestmux.event import Event
from guestmux.guest import Guest
from guestmux_protocol.commands import GuestAgentInfo, Position
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_protocol.sessions import Session
from guestmux_protocol.version import PACKAGE

CALL_TIMEOUT = 5.0
"""Seconds for one answer; eventd takes well under a millisecond, a busy qemu-ga some more."""

PINGS = 3
"""The best of so many is the time of an answer."""

SLOW = 0.5
"""Seconds: an answer that takes longer is felt by people."""

CLOCK_TOLERANCE = 2.0
"""Seconds that two clocks may differ without a word: events have the precision that people need."""

REPLAY_PATIENCE = 1.0
"""Seconds for an event that the guest has already."""

FIRST_USER = 1000
"""Uids below are the system's, who have no session agent."""

GUEST_DOCTOR = "in the guest: guestmux-eventd --doctor"
INSTALL = "install guestmux-guest in the guest, and connect to the port org.guestmux.0"


async def check_guest(guest: Guest) -> AsyncIterator[Finding]:
    """All that can be asked of a guest.

    Raises:
        GuestmuxError: the connection was lost, or the guest speaks nonsense.
        RemoteError: the guest refuses what every guest knows.
    """
    yield ok("dialect", _DIALECTS.get(guest.dialect, guest.dialect))
    if guest.dialect == "qmp" and (monitor := await check_monitor(guest)):
        yield monitor
        return
    yield (answer := await check_time(guest))
    if answer.level == "problem":
        return
    info = await guest.info(timeout=CALL_TIMEOUT)
    yield check_agent(info)
    if _is_eventd(info):
        for finding in check_sessions(await guest.sessions(timeout=CALL_TIMEOUT)):
            yield finding
    yield await check_clock(guest, info)


_DIALECTS = {
    "mux": "mux: calls run concurrently, beside streams",
    "qmp": "qmp: it greets, calls run concurrently",
    "qga": "qga: no greeting, calls run in order",
}


async def check_monitor(guest: Guest) -> Finding | None:
    """Whether it is QEMU's own monitor, which speaks the same; None where it is a guest."""
    try:
        version = await guest.call("query-version", timeout=CALL_TIMEOUT)
    except CommandNotFound:
        return None
    except CommandFailed:
        # QEMU takes hardly any command out of band, which is how a guest is asked.
        version = {"package": "QEMU"}
    package = version.get("package") if isinstance(version, dict) else None
    if isinstance(package, str) and package.startswith(PACKAGE.partition("-")[0]):
        return None
    what = f"no guest: a QMP server of {package or 'no package'} answers, as QEMU's own monitor does"
    return problem("agent", what, "name the socket of the port's chardev, not that of -qmp or -mon")


async def check_time(guest: Guest) -> Finding:
    """How long an answer takes."""
    times = []
    try:
        for _ in range(PINGS):
            begin = time.perf_counter()
            await guest.ping(timeout=CALL_TIMEOUT)
            times.append(time.perf_counter() - begin)
    except CallTimeout:
        return problem("answer", f"none within {CALL_TIMEOUT:g} s: the guest hangs", GUEST_DOCTOR)
    best = min(times)
    if best > SLOW:
        return note(
            "answer", f"within {best * 1000:.0f} ms, which is slow", "is the guest, or the host, busy?"
        )
    return ok("answer", f"within {best * 1000:.1f} ms")


def check_agent(info: GuestAgentInfo) -> Finding:
    """Who answers, and in which version."""
    if not _is_eventd(info):
        what = f"a stock qemu-ga {info.version} answers: no sessions, no events"
        return note("agent", what, INSTALL)
    if info.version != __version__:
        what = f"guestmux-eventd {info.version} in the guest, guestmux {__version__} here"
        return note("agent", what, "they work together; use one version where something is missing")
    return ok("agent", f"guestmux-eventd {info.version}")


def _is_eventd(info: GuestAgentInfo) -> bool:
    return any(command.name == "guest-get-sessions" for command in info.supported_commands)


def check_sessions(sessions: Iterable[Session]) -> list[Finding]:
    """Whether each user who is logged in has an agent."""
    by_user = defaultdict(list)
    for session in sessions:
        if session.session_class == "user" and session.state != "closing":
            by_user[session.uid, session.user].append(session)
    if not by_user:
        return [ok("sessions", "nobody is logged in")]
    return [_check_user(user, uid, own) for (uid, user), own in sorted(by_user.items())]


def _check_user(user: str, uid: int, sessions: list[Session]) -> Finding:
    check = f"user {user}"
    where = " ".join(session.session for session in sessions)
    agents = [
        f"{agent.name} {agent.version} in {session.session}"
        for session in sessions
        for agent in session.agents
    ]
    if agents:
        return ok(check, ", ".join(agents))
    if uid < FIRST_USER:
        return ok(check, f"sessions {where}; a system user, who has no agent")
    return problem(check, f"sessions {where}; no agent is registered", f"{GUEST_DOCTOR}, as {user}")


async def check_clock(guest: Guest, info: GuestAgentInfo) -> Finding:
    """How far the guest's clock is from ours, as far as the guest tells.

    A stock qemu-ga tells the time. eventd tells that of its latest event, which shows a clock that is ahead.
    """
    try:
        if any(command.name == "guest-get-time" for command in info.supported_commands):
            nanoseconds = await guest.call("guest-get-time", timeout=CALL_TIMEOUT)
            return judge_clock(float(nanoseconds) / 1e9 - time.time(), exact=True)
        seconds = await _time_of_latest_event(guest)
    except (RemoteError, TypeError, ValueError, OverflowError):
        seconds = None
    if seconds is None:
        return note("clock", "the guest tells no time: it has had no event yet, or knows none")
    return judge_clock(seconds - time.time(), exact=False)


def judge_clock(ahead: float, *, exact: bool) -> Finding:
    """What is said of a guest's clock.

    Args:
        ahead: seconds that it is ahead of ours.
        exact: whether that is its time, and not merely a time that it has passed.
    """
    sync = "run a time service, as chrony, in the guest and here"
    if ahead > CLOCK_TOLERANCE:
        return note(
            "clock", f"the guest's is {ahead:.0f} s ahead of ours{'' if exact else ', or more'}", sync
        )
    if exact and ahead < -CLOCK_TOLERANCE:
        return note("clock", f"the guest's is {-ahead:.0f} s behind ours", sync)
    return ok("clock", "as ours" if exact else f"not ahead of ours; the latest event is {-ahead:.0f} s old")


async def _time_of_latest_event(guest: Guest) -> float | None:
    try:
        async with guest.events() as stream:
            latest = stream.position
        if latest is None or latest.seq < 1:
            return None
        since = Position(epoch=latest.epoch, seq=latest.seq - 1)
        with anyio.move_on_after(REPLAY_PATIENCE):
            async with guest.events(since=since) as stream:
                async for item in stream:
                    if isinstance(item, Event) and item.seconds >= 0:
                        return item.seconds + item.microseconds / 1e6
    except (CommandNotFound, GuestmuxError):
        return None
    return None
