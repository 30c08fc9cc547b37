"""session-open-uri against a stand-in portal, and with stubs of the programs that open URIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_session.desktop import portal
from guestmux_session.session_config import DEFAULTS
from guestmux_transport.errors import CallError, MethodError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.standin_portal import standin_portal
from tests.support.stub_programs import StubPrograms

pytestmark = pytest.mark.anyio

VIEWER = "[Desktop Entry]\nType=Application\nName=Viewer\nExec=viewer %u\nMimeType=x-scheme-handler/https;text/html;\n"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubPrograms:
    """Those that open URIs; none but them is found."""
    put_into(monkeypatch, {"XDG_RUNTIME_DIR": str(tmp_path)})
    programs = StubPrograms(tmp_path)
    monkeypatch.setenv("PATH", str(programs.path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "none"))
    applications = tmp_path / "applications"
    applications.mkdir()
    (applications / "viewer.desktop").write_text(VIEWER)
    return programs


class Scene:
    """An agent that is asked to open URIs."""

    def __init__(self, agent: DesktopAgent) -> None:
        self._agent = agent

    async def open(self, uri: str, **arguments: Any) -> Any:
        return await self._agent.call("session-open-uri", uri=uri, **arguments)

    async def launch(self, *uris: str) -> Any:
        return await self._agent.call("session-launch", uris=uris)

    async def cancel(self, call_id: int) -> None:
        await self._agent.manager.cancel(await self._agent.manager.agent(), call_id)

    async def refused(self, uri: str, **arguments: Any) -> str:
        with pytest.raises(CallError) as caught:
            await self.open(uri, **arguments)
        return caught.value.text


@pytest.fixture
def schemes() -> tuple[str, ...]:
    return DEFAULTS.uri_schemes


@pytest.fixture
async def scene(
    system_bus: PrivateBus, session_bus: PrivateBus, programs: StubPrograms, schemes: tuple[str, ...]
) -> AsyncIterator[Scene]:
    async with desktop_agent(system_bus, session_bus, uri_schemes=schemes) as agent:
        yield Scene(agent)


async def test_the_portal_opens_it(scene: Scene, session_bus: PrivateBus) -> None:
    async with standin_portal(session_bus.address) as desktop:
        assert await scene.open("https://example.org/?a=$(b)") == {"by": "portal", "confirmed": True}
        assert desktop.opened == ["https://example.org/?a=$(b)"]
        desktop.answer = 1
        assert await scene.refused("https://example.org/") == "the user did not want it opened"
        desktop.answer = 2
        assert await scene.refused("https://example.org/") == "the desktop's portal could not open it"


async def test_a_portal_that_still_asks_the_user(
    scene: Scene, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal, "ANSWER_SECONDS", 0)
    async with standin_portal(session_bus.address, answer=None):
        assert await scene.open("https://example.org/") == {"by": "portal", "confirmed": False}


async def test_a_host_that_gives_up_takes_the_question_away(scene: Scene, session_bus: PrivateBus) -> None:
    async with standin_portal(session_bus.address) as desktop:
        await scene.open("https://example.org/")
        desktop.answer = None
        async with anyio.create_task_group() as group:
            group.start_soon(scene.refused, "https://example.org/")
            await desktop.until(opened=2)
            await scene.cancel(2)
            await desktop.until(closed=1)


async def test_a_portal_that_refuses_is_not_gone_round(
    scene: Scene, session_bus: PrivateBus, programs: StubPrograms
) -> None:
    programs.add("gio")
    error = MethodError("org.freedesktop.portal.Error.NotAllowed", "locked down")
    async with standin_portal(session_bus.address, fail=error):
        assert (
            await scene.refused("https://example.org/")
            == "the desktop's portal could not open it: locked down"
        )
    assert programs.calls() == []


@pytest.mark.parametrize("program", ["gio", "xdg-open"])
async def test_without_a_portal_a_program_does(scene: Scene, programs: StubPrograms, program: str) -> None:
    programs.add(program)
    assert await scene.open("mailto:alice@example.org") == {"by": program, "confirmed": True}
    arguments = "open " if program == "gio" else ""
    assert programs.calls() == [f"{program} {arguments}mailto:alice@example.org"]


@pytest.mark.parametrize("program", ["gio", "xdg-open"])
async def test_a_uri_is_launched_by_the_desktops_program(
    scene: Scene, programs: StubPrograms, program: str
) -> None:
    programs.add(program)
    assert await scene.launch("ssh://example.org/") == {"by": program}
    arguments = "open " if program == "gio" else ""
    assert programs.calls() == [f"{program} {arguments}ssh://example.org/"]
    with pytest.raises(CallError, match="exactly one URI"):
        await scene.launch("ssh://example.org/", "ssh://example.com/")


async def test_a_portal_that_opens_no_uris(
    scene: Scene, session_bus: PrivateBus, programs: StubPrograms
) -> None:
    programs.add("gio")
    error = MethodError("org.freedesktop.DBus.Error.UnknownMethod", "no such interface")
    async with standin_portal(session_bus.address, fail=error):
        assert (await scene.open("https://example.org/"))["by"] == "gio"


@pytest.mark.parametrize("schemes", [("file",)])
async def test_files_never_go_to_the_portal(
    scene: Scene, session_bus: PrivateBus, programs: StubPrograms
) -> None:
    programs.add("gio")
    async with standin_portal(session_bus.address) as desktop:
        assert (await scene.open("file:///tmp/a"))["by"] == "gio"
        assert desktop.opened == []


async def test_an_application_that_is_for_it(scene: Scene, programs: StubPrograms, tmp_path: Path) -> None:
    programs.add("gio")
    assert await scene.open("https://example.org/", app_id="viewer") == {"by": "gio", "confirmed": True}
    assert programs.calls() == [f"gio launch {tmp_path}/applications/viewer.desktop https://example.org/"]


async def test_an_application_that_is_not_for_it(scene: Scene) -> None:
    assert (
        await scene.refused("http://example.org/", app_id="viewer")
        == "'viewer' does not say that it opens 'http'"
    )
    assert "no application 'none' is installed" in await scene.refused("http://example.org/", app_id="none")


async def test_where_nothing_opens_uris(scene: Scene) -> None:
    assert "neither gio (GLib's tools) nor xdg-open" in await scene.refused("https://example.org/")


async def test_a_program_that_cannot_open_it(scene: Scene, programs: StubPrograms) -> None:
    programs.add("gio", "exit 2")
    refused = await scene.refused("https://example.org/")
    assert (
        "gio could not open 'https://example.org/'; the session may have no application for it: " in refused
    )


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("ssh://example.org/", "hosts may not have 'ssh' opened"),
        ("file:///etc/passwd", "hosts may not have 'file' opened"),
        ("javascript:alert(1)", "hosts may not have 'javascript' opened"),
        ("/etc/passwd", "is no URI"),
        ("--help", "is no URI"),
        ("https://example.org/ --evil", "is no URI"),
        ("https://example.org/\n", "is no URI"),
        ("https://example.org/\u202e", "is no URI"),
        ("https:", "is no URI"),
        ("mailto:a@example.org?subject=b&attach=/etc/passwd", "no attachments"),
        ("mailto:a@example.org?%61ttachment=/etc/passwd", "no attachments"),
        ("mailto:a@example.org?subject=b&amp;attach=/etc/passwd", "no attachments"),
    ],
)
async def test_what_is_not_opened_for_hosts(
    scene: Scene, programs: StubPrograms, uri: str, error: str
) -> None:
    programs.add("gio")
    assert error in await scene.refused(uri)
    assert programs.calls() == []


@pytest.mark.parametrize("schemes", [("*",)])
async def test_which_schemes_is_the_administrators_choice(scene: Scene, programs: StubPrograms) -> None:
    programs.add("gio")
    assert (await scene.open("SSH://example.org/"))["by"] == "gio"
    assert (await scene.open("file:///tmp/a"))["by"] == "gio"
    assert "file:///path, of this guest" in await scene.refused("file://server/share")
