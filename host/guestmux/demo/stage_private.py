"""A guest on this machine: a private bus, a stand-in for logind, and guestmux's own real processes."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from guestmux.demo.children import START_PATIENCE, Child, Children, children
from guestmux.demo.errors import DemoError
from guestmux.demo.private_bus import start_bus
from guestmux.demo.room import ALICE, BOB, EVENTD, Person, Room, room
from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.client import StandinControl
from guestmux_transport.bus import connect_bus

READY: Final = b"READY=1"


class PrivateStage:
    """The guest.

    Args:
        place: where it is.
        running: what ends its processes.
        bus_address: its system bus.
        control: tells the stand-in for logind what happens.
    """

    comes_back = True
    pace = 1.0
    one_clock = True

    def __init__(self, place: Room, running: Children, bus_address: str, control: StandinControl) -> None:
        self._room = place
        self._children = running
        self._bus_address = bus_address
        self._control = control
        self._people = {person.name: person for person in (ALICE, BOB)}
        self._sessions: dict[str, Person] = {}
        self._buses: dict[str, str] = {}
        self._agents: dict[str, Child] = {}

    @property
    def address(self) -> str:
        """How the host reaches eventd."""
        return f"unix:{self.port('qmp')}"

    @property
    def setting(self) -> Sequence[str]:
        """What is real, and what is not."""
        return [
            "logind and the desktops are stand-ins on a private D-Bus: no real session",
            "eventd, the session agents and the host are the real programs",
            self._who(),
        ]

    @property
    def users(self) -> tuple[str, str]:
        """The two users' names."""
        return ALICE.name, BOB.name

    def port(self, dialect: str) -> Path:
        """The socket of one of eventd's ports."""
        return self._room.home(EVENTD) / f"{dialect}.sock"

    async def start_eventd(self) -> None:
        """Start eventd, and wait until it serves."""
        command = [
            sys.executable,
            "-m",
            "guestmux_eventd",
            "--config",
            os.devnull,
            "--bus",
            self._bus_address,
        ]
        for dialect in ("qmp", "qga"):
            command += ["--port", f"{dialect}=unix-listen:{self.port(dialect)}"]
        path = self._room.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            path.chmod(0o777)
            environment = {**self._room.environment(EVENTD), "NOTIFY_SOCKET": str(path)}
            eventd = await self._start("eventd", command, EVENTD, environment)
            await _wait_ready(listener, eventd)

    async def login(self, user: str) -> str:
        """Log a user in: a session, a session bus, a stand-in for a desktop, the stock agent."""
        person = self._people[user]
        session = await self._control.login(
            user,
            self._room.uid(person),
            type="wayland",
            desktop="standin",
            vtnr=len(self._sessions) + 2,
            locker=False,
        )
        self._sessions[session] = person
        if user not in self._buses:
            self._buses[user] = await start_bus(self._room, self._children, self._room.home(person), person)
        desktop = [sys.executable, "-m", "guestmux.demo.standin_desktop", "--bus", self._bus_address]
        desktop += ["--session-bus", self._buses[user], "--session", session]
        await (await self._start_in(session, "desktop", desktop)).ready()
        await self.start_agent(session)
        return session

    async def lock(self, session: str) -> None:
        """Lock as `loginctl lock-session` does."""
        await self._control.ask_to_lock(session)

    async def set_idle(self, session: str, *, idle: bool) -> None:
        """Set the session's idle hint."""
        await self._control.set_idle(session, idle=idle)

    async def crash_agent(self, session: str) -> None:
        """Send the agent SIGKILL."""
        await self._agents[session].kill()

    async def start_agent(self, session: str) -> None:
        """Start the agent in its session."""
        command = [sys.executable, "-m", "guestmux_session", "--bus", self._bus_address]
        self._agents[session] = await self._start_in(session, "agent", command)

    async def shut_down(self) -> str:
        """Announce a shutdown."""
        microseconds, holding = await self._control.shutdown()
        if holding:
            raise DemoError(f"the shutdown was held up to the end by {', '.join(holding)}")
        return f"logind waited {microseconds / 1000:.1f} ms until eventd had told the host"

    async def keep_going(self) -> Sequence[tuple[str, str]]:
        """Call the shutdown off, and log the second user in again."""
        await self._control.resume()
        session = await self.login(BOB.name)
        address = shlex.quote(self._bus_address)
        control = f"{names.CONTROL} {names.CONTROL_PATH} {names.CONTROL}"
        return [
            (
                f'logind() {{ busctl --address={address} call {control} "$@"; }}',
                "the stand-in for logind, as `logind`",
            ),
            (f"logind SetActive ss seat0 {next(iter(self._sessions))}", "switch the foreground"),
            (f"logind Login 'sua{{sv}}' carol {self._room.uid(EVENTD)} 0", "one more login"),
            (f"logind Logout s {session}", "end bob's session"),
            ("logind Suspend; logind Resume", "sleep, and wake up"),
        ]

    def _who(self) -> str:
        if self._room.why_together:
            return f"everything runs as uid {os.getuid()}: {self._room.why_together}"
        apart = ", ".join(f"{person.name} {person.uid}" for person in (EVENTD, ALICE, BOB))
        return f"each runs as a user of its own (no account is made): {apart}"

    async def _start_in(self, session: str, what: str, command: list[str]) -> Child:
        """Start a process of a session; it runs from the moment on when logind knows where it belongs."""
        person = self._sessions[session]
        environment = {
            **self._room.environment(person),
            "DBUS_SESSION_BUS_ADDRESS": self._buses[person.name],
            "XDG_SESSION_ID": session,
            "XDG_SESSION_TYPE": "wayland",
            "XDG_CURRENT_DESKTOP": "standin",
        }
        child = await self._start(f"{person.name}-{what}", command, person, environment, held=True)
        await self._control.add_process(session, child.pid, ends=True)
        await child.release()
        return child

    async def _start(
        self,
        name: str,
        command: list[str],
        person: Person,
        environment: dict[str, str],
        *,
        held: bool = False,
    ) -> Child:
        words = self._room.command(command, person)
        return await self._children.start(name, words, environment=environment, held=held)


async def _wait_ready(listener: socket.socket, eventd: Child) -> None:
    """Wait for systemd's word (sd_notify(3)), or for the process to end instead."""
    ready = False
    listener.settimeout(0)
    with anyio.move_on_after(START_PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, eventd, tasks.cancel_scope)
            while not ready:
                await anyio.wait_readable(listener)
                ready = READY in listener.recv(512).splitlines()
            tasks.cancel_scope.cancel()
    if not ready:
        raise DemoError(f"eventd did not start:{eventd.last_words}")


async def _cancel_when_gone(child: Child, scope: anyio.CancelScope) -> None:
    await child.gone()
    scope.cancel()


@asynccontextmanager
async def private_stage() -> AsyncIterator[PrivateStage]:
    """Set the stage, and clear it after the block.

    Raises:
        DemoError: something that is needed is missing, or did not start.
    """
    with room() as place:
        async with children(place.folder / "logs") as running:
            address = await start_bus(place, running, place.folder)
            logind = [sys.executable, "-m", "guestmux.demo.standin_logind", "--bus", address]
            standin = await running.start(
                "standin-logind", place.command(logind), environment=place.environment(EVENTD)
            )
            await standin.ready()
            async with connect_bus(address) as bus:
                stage = PrivateStage(place, running, address, StandinControl(bus))
                await stage.start_eventd()
                yield stage
