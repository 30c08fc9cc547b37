"""Applications by the units of the user's real systemd."""

from collections.abc import Callable

import pytest

from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest
from tests.support.wire_host import WireHost

pytestmark = pytest.mark.guest

START = ["systemd-run", "--user", "--quiet", "--collect"]


def test_applications_of_a_session_without_a_display_server(
    guest: Guest, log_in: Callable[[str], TerminalLogin]
) -> None:
    login = log_in("alice")
    session = login.session
    with WireHost(guest.port("qmp")).greeted() as host:
        guest.wait_for("alice's agent", lambda: "return" in host.ask("session-get-info", session=session))
        assert host.ask("session-get-info", session=session)["return"]["providers"]["apps"] == "systemd"
        host.ask("guest-event-subscribe", events=["APP_*"])
        # What runs before that has not started.
        guest.wait_for("the agent", lambda: "followed by systemd" in guest.journal("_UID=1000"))
        # By itself: it ends without anybody's asking.
        login.run([*START, "--unit=app-org.example.Editor@1.service", "sleep", "3"])
        started = host.event("APP_STARTED")
        assert (started["app-id"], started["session"], started["user"]) == (
            "org.example.Editor",
            session,
            "alice",
        )
        listed = host.ask("session-list-apps", session=session)["return"]["apps"]
        assert [app["pid"] for app in listed] == [started["pid"]]
        assert host.event("APP_EXITED")["pid"] == started["pid"]
        # By the host.
        login.run([*START, "--unit=app-org.example.Editor@2.service", "sleep", "1000"])
        assert host.event("APP_STARTED")["pid"] != started["pid"]
        asked = host.ask("session-close-app", session=session, **{"app-id": "org.example.Editor"})
        assert asked["return"] == {"windows": 0}
        host.event("APP_EXITED")
