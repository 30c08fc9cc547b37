"""The login sessions: whether each that should have an agent has one, and why not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from guestmux_eventd.doctor.bus import CALL_TIMEOUT
from guestmux_eventd.doctor.machine import Machine
from guestmux_eventd.login_manager import LoginManager
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_protocol.sessions import Session
from guestmux_protocol.version import VERSION
from guestmux_transport.bus import Bus
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_PATH

USER_UNIT = "guestmux-session.service"
STOCK_AGENT = "guestmux-session"

FIRST_USER = 1000
"""Uids below are the system's (login.defs), which have no agent: ConditionUser=!@system of the user unit."""

MAX_SESSIONS = 64
"""Sessions looked at; more are not read by anybody."""

REFUSALS = tuple(
    f"GUESTMUX_ERROR={name}"
    for name in ("NotInSession", "AlreadyRegistered", "InvalidArgument", "Denied", "LimitExceeded")
)

START = "systemctl --user enable --now guestmux-session, as that user"
RESTART = "systemctl --user restart guestmux-session, as that user"


class Agent(Struct, frozen=True):
    """A registered agent."""

    session: str
    name: str
    version: str


async def user_sessions(bus: Bus, machine: Machine) -> list[Session]:
    """The sessions of people, all of them for root, else one's own.

    Raises:
        BusError: logind does not answer.
    """
    logins = LoginManager(bus)
    found = []
    for path in list((await logins.sessions()).values())[:MAX_SESSIONS]:
        try:
            session = await logins.session(path)
        except CallError:
            continue  # it ended meanwhile
        if session.session_class == "user" and (machine.is_root or session.uid == machine.uid):
            found.append(session)
    return sorted(found, key=lambda session: (session.uid, session.session))


async def registered_agents(bus: Bus, owner: str) -> list[Agent]:
    """The caller's own agents, to root those of all.

    Raises:
        BusError: eventd does not answer, or is too old to say.
    """
    reply = await bus.call(owner, MANAGER_PATH, MANAGER_INTERFACE, "ListAgents", timeout=CALL_TIMEOUT)
    return [Agent(*row) for row in reply.body[0]]


async def check_agents(machine: Machine, bus: Bus, owner: str, sessions: list[Session]) -> list[Finding]:
    """A finding for each session, and what lies behind an agent that is missing."""
    try:
        agents = await registered_agents(bus, owner)
    except BusError as error:
        return [note("agents", f"eventd does not say which are registered: {error}")]
    findings = check_sessions(sessions, agents)
    if any(finding.level == "problem" for finding in findings):
        findings += [finding for finding in (await check_refusals(machine),) if finding]
    return findings


def check_sessions(sessions: Iterable[Session], agents: Iterable[Agent]) -> list[Finding]:
    """A finding for each session."""
    by_session = defaultdict(list)
    for agent in agents:
        by_session[agent.session].append(agent)
    sessions = [session for session in sessions if session.state != "closing"]
    served = {session.uid for session in sessions if by_session[session.session]}
    if not sessions:
        return [ok("sessions", "nobody is logged in")]
    return [
        _check_session(session, by_session[session.session], served=session.uid in served)
        for session in sessions
    ]


def _check_session(session: Session, agents: list[Agent], *, served: bool) -> Finding:
    check = f"session {session.session}"
    old = [agent for agent in agents if agent.name == STOCK_AGENT and agent.version != VERSION]
    if old:
        what = f"{session.user}: {STOCK_AGENT} {old[0].version}, but {VERSION} is installed"
        return problem(check, what, RESTART)
    if agents:
        return ok(check, f"{session.user}: {', '.join(f'{agent.name} {agent.version}' for agent in agents)}")
    if session.uid < FIRST_USER:
        return ok(check, f"{session.user}: a system user, who has no agent")
    if served:
        # One service manager for each user, and so one agent, in the session that logind has as his display.
        return note(check, f"{session.user}: no agent here; the user's agent is in another session")
    return problem(
        check, f"{session.user}: no agent is registered", f"{START}; then journalctl --user -u {USER_UNIT}"
    )


async def check_user_unit(machine: Machine) -> Finding | None:
    """The agent's unit of who is looking; None where there is nothing to say, as for system users."""
    if not machine.has_systemd or machine.uid < FIRST_USER:
        return None
    properties = "--property=LoadState,ActiveState,UnitFileState"
    text = await machine.tool("systemctl", "--user", "show", USER_UNIT, properties)
    if text is None:
        return note("user unit", "this user has no service manager; the desktop's autostart starts the agent")
    unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    load, active, state = (unit.get(name, "") for name in ("LoadState", "ActiveState", "UnitFileState"))
    if load == "masked":
        return note(
            "user unit", "masked: this user wants no agent", "systemctl --user unmask guestmux-session"
        )
    if load != "loaded":
        return problem("user unit", f"{USER_UNIT}: {load}", "install the package guestmux-guest")
    if active != "active":
        return problem("user unit", f"{active}, {state}", f"journalctl --user -u {USER_UNIT}; {START}")
    return ok("user unit", f"active, {state}")


async def check_refusals(machine: Machine) -> Finding | None:
    """The last agent that eventd refused, by the journal; None where there was none."""
    if not machine.has_systemd:
        return None
    text = await machine.tool(
        "journalctl",
        "--quiet",
        "--boot",
        "--output=cat",
        "--lines=1",
        "_SYSTEMD_UNIT=guestmux-eventd.service",
        *REFUSALS,
    )
    if text is None:
        return note(
            "refusals", "the journal cannot be read", "run this as root, or join the group systemd-journal"
        )
    if line := text.strip():
        return note("refusals", f"the last one since the boot: {line}", "journalctl -u guestmux-eventd")
    if not machine.is_root:
        return note("refusals", "none that this user may see", "run this as root to see all")
    return None
