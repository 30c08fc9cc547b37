"""Two users at one guest, each with a display server: what hosts hear of both, and do to both."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.guest.desktops import Desktop
from tests.guest.event_host import EventHost, Told
from tests.guest.two_users import BACKGROUND, LISTENED_TO, TwoUsers

EVENTS = (
    *LISTENED_TO,
    *("APP_*", "CLIPBOARD_CHANGED", "DISPLAY_CHANGED", "SESSION_*LOCK"),
    "AGENT_GONE",
)


class TwoDesktops(TwoUsers):
    """Both of them, with a host that listens.

    Args:
        host: subscribed to EVENTS.
        desktops: theirs, not started yet.
    """

    def __init__(self, host: EventHost, *desktops: Desktop) -> None:
        super().__init__(desktops[0].guest, host, *(desktop.login for desktop in desktops))
        self.desktops = desktops

    def start(self) -> None:
        """Start both display servers, and wait until the agents follow what is on them."""
        self.have_agents()
        for desktop in self.desktops:
            told = len(self.host.told)
            desktop.start()
            self.until_followed(desktop, told)

    # -- what is told -------------------------------------------------------------------------------------------

    def until_told(self, desktop: Desktop, event: str, since: int = 0, **members: Any) -> Told:
        """Wait until something is told of a session; gives its data.

        Args:
            desktop: whose.
            event: its name.
            since: how many messages there were before.
            members: of the data.
        """
        wanted = {name.replace("_", "-"): value for name, value in members.items()}
        wanted["session"] = desktop.login.session

        def found(host: EventHost) -> Told | None:
            for message in host.told[since:]:
                if message["event"] == event and wanted.items() <= message["data"].items():
                    return dict(message["data"])
            return None

        told = found(self.host.until(lambda host: found(host) is not None))
        assert told is not None
        assert told.get("user", desktop.login.user) == desktop.login.user
        return told

    def until_followed(self, desktop: Desktop, since: int) -> None:
        """Wait until the agent knows what is on the display server; the focus is told when there is all else."""
        self.until_told(desktop, "APP_FOCUSED", since)
        desktop.wait_for("the desktop's sources", lambda: self.sources(desktop) == desktop.sources)

    def told_of_apps(self, desktop: Desktop, since: int) -> list[str]:
        """Which events of applications came of a session."""
        return [
            message["event"]
            for message in self.host.told[since:]
            if message["event"] in ("APP_STARTED", "APP_EXITED")
            and message["data"]["session"] == desktop.login.session
        ]

    # -- what is asked ------------------------------------------------------------------------------------------

    def ask(self, desktop: Desktop, command: str, **arguments: Any) -> Any:
        """Ask a session, by its user; gives what it returns."""
        answer = self.host.ask(command, session=f"user:{desktop.login.user}", **arguments)
        assert "return" in answer, answer
        return answer["return"]

    def sources(self, desktop: Desktop) -> dict[str, str]:
        """Where the agent knows things from now, as far as a display server has to do with them."""
        providers = self.ask(desktop, "session-get-info")["providers"]
        return {name: providers[name] for name in desktop.sources}

    def apps(self, desktop: Desktop) -> list[str]:
        """The ids of the applications that run."""
        return [app["app-id"] for app in self.ask(desktop, "session-list-apps")["apps"]]

    def other(self, desktop: Desktop) -> Desktop:
        """The other one."""
        [other] = [one for one in self.desktops if one is not desktop]
        return other

    # -- what is looked at --------------------------------------------------------------------------------------

    def launch(self, desktop: Desktop) -> Told:
        """Have a host start an application in a session, and have that told of this session alone."""
        told, there = len(self.host.told), desktop.count(desktop.window)
        other = self.other(desktop)
        before = self.apps(other)
        self.ask(desktop, "session-launch", app_id=desktop.app)
        started = self.until_told(desktop, "APP_STARTED", told, app_id=desktop.app)
        assert desktop.count(desktop.window) == there + 1
        assert (self.apps(other), self.told_of_apps(other, told)) == (before, [])
        return started

    def close(self, desktop: Desktop) -> None:
        """Have a host end it."""
        told = len(self.host.told)
        self.ask(desktop, "session-close-app", app_id=desktop.app)
        self.until_told(desktop, "APP_EXITED", told, app_id=desktop.app)
        desktop.wait_for("its end", lambda: self.apps(desktop) == [])

    def check_clipboards(self, front: Desktop) -> None:
        """The one of the user in the foreground goes both ways, by the host and by programs; the other's is refused."""
        for desktop in self.desktops:
            self.until_change_is_told(desktop, "CLIPBOARD_CHANGED", partial(desktop.copy, "any"))
        back = self.other(front)
        text = f"of the host for {front.login.user}"
        self.ask(front, "session-clipboard-set", text=text)
        assert front.paste() == text
        for desktop in self.desktops:
            desktop.copy(f"by-{desktop.login.user}")
            self.until_pasted(desktop, f"by-{desktop.login.user}")
        assert self.ask(front, "session-clipboard-get")["text"] == f"by-{front.login.user}"
        assert "by-" not in str(self.host.data("CLIPBOARD_CHANGED"))
        assert self.clipboard_refusal(back.login) == BACKGROUND
        refused = self.host.ask("session-clipboard-get", session=back.login.session)
        assert refused["error"]["desc"] == BACKGROUND

    def until_pasted(self, desktop: Desktop, text: str) -> None:
        """Wait for what a program has copied: it may be done before the display server has heard of it."""
        desktop.wait_for("the copy", lambda: desktop.paste() == text)

    def until_change_is_told(self, desktop: Desktop, event: str, change: Callable[[], None]) -> Told:
        """Change something again and again until it is told: what was before the agent looked has not changed."""
        since = len(self.host.told)

        def told() -> bool:
            change()
            # With the answer comes what was told before it.
            self.ask(desktop, "session-get-info")
            return any(
                message["event"] == event and message["data"]["session"] == desktop.login.session
                for message in self.host.told[since:]
            )

        desktop.wait_for(event, told)
        return self.until_told(desktop, event, since)

    def check_lock(self, desktop: Desktop) -> None:
        """A host locks the one session and not the other, whose clipboard stays as it was, and unlocks it."""
        told = len(self.host.told)
        other = self.clipboard_refusal(self.other(desktop).login)
        desktop.start_locker()
        # It listens when it is there, and nothing tells that.
        desktop.wait_for("the lock", lambda: self.ask(desktop, "session-lock")["confirmed"])
        self.until_told(desktop, "SESSION_LOCK", told)
        assert self.clipboard_refusal(desktop.login).startswith("the session is locked")
        assert self.clipboard_refusal(self.other(desktop).login) == other
        assert self.ask(desktop, "session-unlock")["confirmed"]
        self.until_told(desktop, "SESSION_UNLOCK", told)
        assert not self.clipboard_refusal(desktop.login)

    def crash(self, desktop: Desktop) -> None:
        """Crash a display server: what is on it ends with it, and nothing of the other; what lacks is said."""
        other = self.other(desktop)
        for one in self.desktops:
            self.launch(one)
        told = len(self.host.told)
        desktop.crash()
        self.until_told(desktop, "APP_EXITED", told, app_id=desktop.app)
        desktop.wait_for(
            "the reason", lambda: set(self.sources(desktop).values()).isdisjoint(desktop.sources.values())
        )
        assert "error" in self.host.ask("session-list-apps", session=desktop.login.session)
        assert (self.apps(other), self.told_of_apps(other, told)) == ([other.app], [])

    def come_back(self, desktop: Desktop) -> None:
        """Start a display server again that has crashed: the same agent finds it, and tells of what comes then."""
        desktop.start()
        desktop.wait_for("the desktop's sources", lambda: self.sources(desktop) == desktop.sources)
        told = len(self.host.told)
        # It looks at applications when it is time for it: this one may be there before.
        self.ask(desktop, "session-launch", app_id=desktop.app)
        self.until_told(desktop, "APP_STARTED", told, app_id=desktop.app)
        for one in self.desktops:
            self.close(one)

    def kill_agent(self, desktop: Desktop) -> int:
        """Kill an agent, and wait for the next one; gives how many messages there were before."""
        told = len(self.host.told)
        unit = "guestmux-session.service"
        self.guest.user_systemctl(desktop.login.user, "kill", "--signal=KILL", unit)
        self.until_told(desktop, "AGENT_GONE", told)
        self.until_told(desktop, "AGENT_REGISTERED", told)
        return told

    def check_agent_killed(self, desktop: Desktop) -> None:
        """What runs goes on, is known to the next agent and has not started; what ends and starts then is told."""
        self.launch(desktop)
        told = self.kill_agent(desktop)
        self.until_followed(desktop, told)
        assert (self.apps(desktop), self.told_of_apps(desktop, told)) == ([desktop.app], [])
        self.close(desktop)
        self.launch(desktop)
        self.close(desktop)
