"""Where the processes of a session live, with a stand-in for the user's systemd, and without any."""

import base64
import os
from collections.abc import AsyncIterator

import pytest

from guestmux_session.info_environment import account
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import Surroundings, SystemSurroundings
from guestmux_session.verbs.surroundings_session import SessionSurroundings
from guestmux_transport.bus import connect_bus
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_user_manager import StandinUserManager, standin_user_manager
from tests.support.verbs import Verbs, end_all

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's environment: two variables, and a path to run things by."""
    for name in os.environ.keys() - {"PATH"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DISPLAY", ":own")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")


@pytest.fixture
async def manager(session_bus: PrivateBus) -> AsyncIterator[StandinUserManager]:
    async with standin_user_manager(session_bus.address) as manager:
        manager.environment = ["DISPLAY=:shared", "WAYLAND_DISPLAY=wayland-0", "ODD"]
        yield manager


@pytest.fixture
async def surroundings(session_bus: PrivateBus) -> AsyncIterator[SessionSurroundings]:
    surroundings = SessionSurroundings()
    async with connect_bus(session_bus.address) as bus:
        await surroundings.attach(bus)
        yield surroundings
        surroundings.detach("no bus")


async def variables_of(surroundings: Surroundings, given: dict[str, str] | None = None) -> dict[str, str]:
    """Without what the tests need for themselves."""
    environment = await surroundings.environment(given)
    return {name: value for name, value in environment.items() if name not in ("PATH", "PYTEST_CURRENT_TEST")}


async def test_an_agent_of_the_desktop_knows_better_than_the_manager(
    manager: StandinUserManager, surroundings: SessionSurroundings
) -> None:
    assert await variables_of(surroundings) == {"DISPLAY": ":own", "WAYLAND_DISPLAY": "wayland-0"}


async def test_an_agent_of_the_manager_asks_the_manager(
    manager: StandinUserManager, surroundings: SessionSurroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOCATION_ID", "1")
    assert await variables_of(surroundings) == {"DISPLAY": ":shared", "WAYLAND_DISPLAY": "wayland-0"}


async def test_what_was_given_is_on_top(
    manager: StandinUserManager, surroundings: SessionSurroundings
) -> None:
    given = {"DISPLAY": ":given", "MORE": ""}
    assert await variables_of(surroundings, given) == {**given, "WAYLAND_DISPLAY": "wayland-0"}


async def test_a_variable_that_the_desktop_sets_later_is_there_at_once(
    manager: StandinUserManager, surroundings: SessionSurroundings
) -> None:
    manager.environment = ["LATER=yes"]
    assert (await variables_of(surroundings))["LATER"] == "yes"


async def test_without_a_manager_the_agents_own_are_all_there_are(surroundings: SessionSurroundings) -> None:
    assert await variables_of(surroundings) == {"DISPLAY": ":own"}
    assert await variables_of(SessionSurroundings()) == {"DISPLAY": ":own"}


async def test_a_manager_that_refuses_is_done_without(
    manager: StandinUserManager, surroundings: SessionSurroundings, caplog: pytest.LogCaptureFixture
) -> None:
    manager.refuses = True
    caplog.set_level("INFO")
    assert await variables_of(surroundings) == {"DISPLAY": ":own"}
    await surroundings.adopt(os.getpid())
    assert "environment is left out" in caplog.text
    assert "stays in the agent's own cgroup" in caplog.text


async def test_a_process_gets_a_scope_of_its_own(
    manager: StandinUserManager, surroundings: SessionSurroundings
) -> None:
    part = Processes(surroundings)
    pids = [
        (await Verbs(part).get("guest-exec", path="sleep", arg=["1000"]))["pid"],
        (await Verbs(part).get("guest-exec-live", path="cat"))["pid"],
    ]
    await end_all(part)
    assert [scope.properties["PIDs"] for scope in manager.scopes] == [[pid] for pid in pids]
    assert {scope.properties["Slice"] for scope in manager.scopes} == {"app.slice"}
    assert [scope.state for scope in manager.scopes] == ["T", "T"]
    assert len({scope.unit for scope in manager.scopes}) == 2
    assert all(scope.unit.startswith("app-guestmux-exec-") for scope in manager.scopes)


async def test_a_process_starts_at_home_with_the_sessions_variables(
    manager: StandinUserManager, surroundings: SessionSurroundings
) -> None:
    part = Processes(surroundings)
    verbs = Verbs(part)
    script = 'echo "$PWD $WAYLAND_DISPLAY $A $NOTIFY_SOCKET"'
    live = await verbs.get("guest-exec-live", path="sh", arg=["-c", script], env=["A=b"])
    out = b""
    while not out.endswith(b"\n"):
        answer = await verbs.get("guest-exec-read", pid=live["pid"], linger=30)
        out += base64.b64decode(answer["out-data"])
    await end_all(part)
    assert out.decode() == f"{account(os.getuid()).pw_dir} wayland-0 b \n"


async def test_in_the_system_agent_env_replaces() -> None:
    surroundings = SystemSurroundings()
    assert await surroundings.environment({"A": "b"}) == {"A": "b"}
    assert await variables_of(surroundings) == {"DISPLAY": ":own"}
    assert surroundings.directory is None
