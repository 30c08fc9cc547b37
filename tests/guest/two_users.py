"""Two users at one guest at the same time, of whom its screen shows one; in containers and machines alike."""

import base64
from collections.abc import Callable
from typing import Any

from tests.guest.event_host import EventHost
from tests.guest.logins import Login
from tests.guest.system import GuestSystem

LISTENED_TO = ("SESSION_ACTIVE", "AGENT_REGISTERED")

BACKGROUND = "the session is in the background: its clipboard is not for hosts until it is active"


class TwoUsers:
    """Both of them, with a host that listens.

    Args:
        guest: where they are.
        host: subscribed to LISTENED_TO.
        logins: their sessions.
    """

    def __init__(self, guest: GuestSystem, host: EventHost, *logins: Login) -> None:
        self.guest = guest
        self.host = host
        self.logins = logins

    def have_agents(self) -> None:
        """Wait for an agent in each session."""
        wanted = {login.session for login in self.logins}
        self.host.until(lambda host: wanted <= {data["session"] for data in host.data("AGENT_REGISTERED")})

    def check_that_both_are_reached(self) -> None:
        """Call each by name and by session, and have a program say whose it is."""
        for login in self.logins:
            for selector in (f"user:{login.user}", login.session):
                assert self.info(selector) == (login.session, login.user)
                assert self.run(selector, "id -un") == [login.user]

    def check_that_one_is_shown(self, front: Login) -> None:
        """Of the one in the foreground a host gets as far as the clipboard, of the other it does not."""
        assert self.info("active") == (front.session, front.user)
        for login in self.logins:
            refusal = self.clipboard_refusal(login)
            assert (refusal == BACKGROUND) == (login is not front), refusal
            assert self.info(f"user:{login.user}") == (login.session, login.user)

    def show(self, login: Login, switch: Callable[[], None] | None = None) -> None:
        """Switch to one of them, and have that told, and nothing else.

        Args:
            login: whose turn it is.
            switch: does it; by default logind is asked.
        """
        told = len(self.host.data("SESSION_ACTIVE"))
        (switch or login.activate)()
        self.host.until(lambda host: len(host.data("SESSION_ACTIVE")) > told)
        [active] = self.host.data("SESSION_ACTIVE")[told:]
        assert (active["seat"], active["session"], active["user"]) == ("seat0", login.session, login.user)
        self.check_that_one_is_shown(login)

    def info(self, selector: str) -> tuple[str, str]:
        """The session and the user of the agent that answers."""
        info = self.host.ask("session-get-info", session=selector)["return"]
        return info["session"], info["user"]

    def run(self, selector: str, script: str) -> list[str]:
        """The lines that a script writes in a session."""
        asked: dict[str, Any] = {
            "path": "sh",
            "arg": ["-c", script],
            "capture-output": True,
            "session": selector,
        }
        pid = self.host.ask("guest-exec", **asked)["return"]["pid"]
        ended: dict[str, Any] = {}

        def has_ended() -> bool:
            ended.update(self.host.ask("guest-exec-status", pid=pid)["return"])
            return bool(ended["exited"])

        self.guest.wait_for("the script's end", has_ended)
        return base64.b64decode(ended["out-data"]).decode().splitlines()

    def clipboard_refusal(self, login: Login) -> str:
        """Why a host may not hear what is in a clipboard; empty where it may."""
        answer = self.host.ask("session-clipboard-list", session=f"user:{login.user}")
        return str(answer["error"]["desc"]) if "error" in answer else ""
