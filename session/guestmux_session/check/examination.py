"""An agent's whole examination."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guestmux_session.check.agent_program import AgentProgram, agent_program
from guestmux_session.check.call_checks import Caller, call_checks
from guestmux_session.check.chosen_checks import Chosen, chosen_checks
from guestmux_session.check.declaration_checks import declaration_checks
from guestmux_session.check.findings import Finding, failed, passed
from guestmux_session.check.life_checks import REGISTER_SECONDS, first_registration, life_checks
from guestmux_session.check.played_eventd import PlayedEventd
from guestmux_session.check.private_bus import private_bus
from guestmux_transport.bus import connect_bus

Tell = Callable[[Finding], None]


async def examine(name: str, command: Sequence[str], chosen: Chosen, tell: Tell) -> None:
    """Start an agent on a bus of its own, and look at what it does.

    Args:
        name: what it registers as.
        command: starts it.
        chosen: the commands that may be run.
        tell: is told each finding at once.

    Raises:
        NoBus, NoProgram: it cannot be looked at.
        BusError: the bus was lost meanwhile.
    """
    async with (
        private_bus() as address,
        connect_bus(address) as first,
        connect_bus(address) as second,
        connect_bus(address) as stranger,
    ):
        eventd, heir = PlayedEventd(first), PlayedEventd(second)
        await eventd.appear()
        async with agent_program(command, address) as program:
            agent = await first_registration(eventd, program, REGISTER_SECONDS)
            if agent is None:
                tell(_unregistered(program))
                return
            tell(passed("registers", f"at {agent.path}"))
            for finding in declaration_checks(agent, name):
                tell(finding)
            caller = Caller(eventd, agent)
            async for finding in call_checks(caller, stranger):
                tell(finding)
            async for finding in chosen_checks(caller, chosen):
                tell(finding)
            async for finding in life_checks(eventd, heir, agent, program, stranger):
                tell(finding)
        heir.close()


def _unregistered(program: AgentProgram) -> Finding:
    text = f"no RegisterAgent within {REGISTER_SECONDS:g} s; {program.last_words}"
    todo = (
        "connect to the bus that DBUS_SYSTEM_BUS_ADDRESS names, as D-Bus libraries do, and call RegisterAgent at "
        "/org/guestmux/Manager1 of org.guestmux.Manager1"
    )
    return failed("registers", text, todo)
