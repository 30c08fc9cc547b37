"""The story: what is shown, in acts, each checking itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
from msgspec import UNSET

import guestmux
from guestmux import CommandFailed
from guestmux.demo.errors import NotHeld
from guestmux.demo.latency import Latencies, Stopwatch
from guestmux.demo.round_trip import BYTES, original, there_and_back
from guestmux.demo.stage import Stage
from guestmux.demo.view import View
from guestmux.demo.watch import PATIENCE, EventWatch
from guestmux_protocol.errors import RemoteError
from guestmux_transport.errors import BusError

ACT_PATIENCE: Final = 40.0
"""Seconds for one act: each wait in it is shorter, so this only ends what nobody thought of."""

QUICK_CALLS: Final = 50
"""How often bob's agent is called while alice's is busy."""

BUTTON: Final = ("ok", "Understood")

Act = Callable[[], Awaitable[None]]


class Story:
    """Plays on a stage, seen by a host.

    Attributes:
        shown: what held, act by act.
        missed: what did not.
        latencies: of the calls into sessions.
    """

    def __init__(self, stage: Stage, guest: guestmux.Guest, watch: EventWatch, view: View) -> None:
        self._stage = stage
        self._guest = guest
        self._watch = watch
        self._view = view
        self._sessions: dict[str, str] = {}
        self.shown: list[str] = []
        self.missed: list[str] = []
        self.latencies = Latencies()

    async def play(self, *, shut_down: bool) -> None:
        """Play all acts, with the shutdown or without.

        What does not hold is noted, and the next act tried; without logins there is none.
        """
        acts: list[tuple[str, str, Act]] = [
            ("logins", "Two users log in", self._logins),
            ("locks", "Locks, and a screen that nobody touches", self._locks),
            ("calls", "The host calls into each session", self._calls),
            ("concurrency", "A slow call delays nobody", self._concurrency),
            ("streams", "A file goes into each session and comes back, while calls go on", self._streams),
            ("a crash", "An agent crashes in the middle of a call", self._crash),
            ("logout", "A user is logged out by the host", self._logout),
            *([("shutdown", "The guest shuts down", self._shutdown)] if shut_down else []),
        ]
        for number, (what, title, act) in enumerate(acts, 1):
            self._view.act(number, title)
            self._watch.forget()
            if not await self._play_act(what, act) and act == self._logins:
                break
        self._check_stream()

    async def _play_act(self, what: str, act: Act) -> bool:
        """Play an act; returns whether all of it held."""
        try:
            with anyio.fail_after(ACT_PATIENCE * self._stage.pace):
                await act()
        except TimeoutError:
            self._miss(f"{what}: no end within {ACT_PATIENCE * self._stage.pace:g} s")
        except (guestmux.GuestmuxError, RemoteError, BusError) as error:
            self._miss(f"{what}: {error}")
        else:
            self.shown.append(what)
            return True
        return False

    async def _logins(self) -> None:
        for user in self._stage.users:
            self._view.said(f"{user} logs in")
            session = await self._stage.login(user)
            self._sessions[user] = session
            await self._watch.expect("SESSION_LOGIN", session=session, user=user)
            await self._watch.expect("SESSION_ACTIVE", session=session)
            await self._agent_of(session)
        sessions = await self._guest.sessions()
        self._view.sessions(sessions)
        with_agents = {each.user for each in sessions if each.agents}
        self._check(with_agents == set(self._stage.users), "each session has its agent")
        foreground = [each.user for each in sessions if each.active]
        self._check(
            foreground == [self._stage.users[1]], f"{self._stage.users[1]} is in the foreground, alone"
        )

    async def _locks(self) -> None:
        first, second = self._stage.users
        state = await self._ask(f"lock user:{first}", self._guest.lock(f"user:{first}"))
        self._check(state.locked and state.confirmed, f"{first}'s screen locker confirmed it")
        await self._watch.expect("SESSION_LOCK", user=first, confirmed=True)
        self._view.said(f"in the guest: loginctl lock-session {self._sessions[second]}")
        await self._stage.lock(self._sessions[second])
        await self._watch.expect("SESSION_LOCK", user=second, confirmed=True)
        state = await self._ask(f"unlock user:{first}", self._guest.unlock(f"user:{first}"))
        self._check(not state.locked, f"{first}'s screen is unlocked")
        await self._watch.expect("SESSION_UNLOCK", user=first, confirmed=True)
        for idle in (True, False):
            await self._stage.set_idle(self._sessions[first], idle=idle)
            await self._watch.expect("SESSION_IDLE", user=first, idle=idle)
        self._held("locks from the host and from inside the guest are told alike")

    async def _calls(self) -> None:
        for user, session in self._sessions.items():
            answer = await self._ask("session-get-info", self._guest.session_info(session), self._told)
            self._check(answer.session == session, f"{user}'s own agent answered")
        first, _second = self._stage.users
        self._view.said(f"{first} sees a notification with a button")
        result = await self._ask("session-notify", self._notify(first, "Maintenance at 22:00"))
        clicked = result.outcome == "action" and result.action == BUTTON[0]
        self._check(clicked, f'the host learnt that {first} pressed "{BUTTON[1]}"')

    async def _concurrency(self) -> None:
        first, second = self._stage.users
        done: list[str] = []

        async def slow() -> None:
            await self._ask(f"session-notify, which waits for {first}", self._notify(first, "Are you there?"))
            done.append("slow")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            quick = Latencies()
            for _ in range(QUICK_CALLS):
                watch = Stopwatch(time.perf_counter)
                await self._guest.call("guest-get-host-name", session=self._sessions[second])
                self.latencies.add(quick.add(watch.milliseconds))
            self._view.said(f"meanwhile {second} answered {quick}")
            self._check(not done, f"{QUICK_CALLS} calls to {second} ended while {first}'s was open")

    async def _streams(self) -> None:
        size = int(BYTES / self._stage.pace)
        same: list[bool] = []

        async def copy(session: str, file: Path) -> None:
            same.append(await there_and_back(self._guest, session, file))

        watch, calls = Stopwatch(time.perf_counter), Latencies()
        async with original(size) as file, anyio.create_task_group() as tasks:
            for session in self._sessions.values():
                tasks.start_soon(copy, session, file)
            while len(same) < len(self._sessions):
                each = Stopwatch(time.perf_counter)
                await self._guest.session_info(self._sessions[self._stage.users[0]])
                calls.add(each.milliseconds)
        self._view.said(
            f"{_rate(2 * len(same) * size, watch.milliseconds)}; meanwhile calls were answered {calls}"
        )
        self._check(all(same), f"{size >> 20} MiB went to two users at once, and came back as they were")

    async def _crash(self) -> None:
        _first, second = self._stage.users
        session = self._sessions[second]
        errors: list[str] = []

        async def pending() -> None:
            try:
                await self._guest.notify("Nobody answers this", session=session, wait_for_user=True)
            except RemoteError as error:
                errors.append(error.desc)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pending)
            await self._guest.session_info(session)
            self._view.said(f"{second}'s agent gets SIGKILL while it works for the host")
            await self._stage.crash_agent(session)
            await self._watch.expect("AGENT_GONE", session=session)
        self._check(bool(errors), f'the open call ended: "{"".join(errors)}"')
        await self._stage.start_agent(session)
        await self._agent_of(session)
        answer = await self._ask("session-get-info", self._guest.session_info(session), self._told)
        self._check(answer.session == session, "the agent is back and answers")

    async def _logout(self) -> None:
        _first, second = self._stage.users
        session = self._sessions.pop(second)
        await self._ask(f"logout {session}", self._log_out(session), str)
        await self._watch.expect("AGENT_GONE", session=session)
        await self._watch.expect("SESSION_LOGOUT", session=session)
        self._held("the session ended, and the host knows")

    async def _shutdown(self) -> None:
        self._watch.may_end = True
        became = await self._stage.shut_down()
        await self._watch.expect("POWER_SHUTDOWN")
        self._held(became)

    def _check_stream(self) -> None:
        if self._watch.faults:
            self.missed += self._watch.faults
        else:
            self.shown.append("every event in order, none lost")

    async def _agent_of(self, session: str) -> None:
        """Wait until a session's agent serves all; it begins with less where it is up before the desktop is."""
        served: list[str] = []
        while "session-notify" not in served:
            served = (await self._watch.expect("AGENT_REGISTERED", session=session)).data["commands"]

    async def _log_out(self, session: str) -> str:
        """End a session; an agent that ends with it may not get to answer."""
        try:
            await self._guest.logout(session)
        except CommandFailed as error:
            return error.desc
        return "done"

    async def _notify(self, user: str, summary: str) -> guestmux.NotifyResult:
        return await self._guest.notify(
            summary,
            session=self._sessions[user],
            actions=dict([BUTTON]),
            wait_for_user=True,
            timeout=PATIENCE * self._stage.pace,
        )

    async def _ask(self, what: str, call: Awaitable[Any], tell: Callable[[Any], str] | None = None) -> Any:
        watch = Stopwatch(time.perf_counter)
        answer = await call
        self._view.call(what, tell(answer) if tell else _shortly(answer), watch.milliseconds)
        return answer

    def _told(self, info: guestmux.SessionInfo) -> str:
        return f"{info.user} (uid {info.uid}) in {info.session}, {info.desktop} on {info.display_server}"

    def _check(self, holds: bool, text: str) -> None:
        if not holds:
            raise NotHeld(f"not so: {text}")
        self._held(text)

    def _held(self, text: str) -> None:
        self._view.held(text)

    def _miss(self, text: str) -> None:
        self.missed.append(text)
        self._view.not_held(text)


def _rate(size: int, milliseconds: float) -> str:
    return f"{size >> 20} MiB in {milliseconds / 1000:.1f} s, {size / 1000 / milliseconds:.0f} MB/s in all"


def _shortly(answer: Any) -> str:
    """A result without the members that say nothing."""
    members = {name: getattr(answer, name) for name in answer.__struct_fields__}
    return " ".join(f"{name}={value}" for name, value in members.items() if value is not UNSET)
