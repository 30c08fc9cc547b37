"""guestmux-session --system: what its configuration allows, and that it stays while file systems are frozen."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
from anyio.abc import Process

from guestmux_protocol.guest import GUEST
from guestmux_session.__main__ import main
from guestmux_session.system_agent import SystemAgent
from guestmux_session.system_config import SystemConfig, check_commands, read_system_config
from guestmux_session.verbs.freeze import Freeze
from guestmux_session.verbs.freeze_hooks import FreezeHooks
from guestmux_session.verbs.freeze_state import STATE_NAME
from guestmux_session.verbs.sets import command_names, session_verbs
from guestmux_session.verbs.surroundings import SystemSurroundings
from guestmux_session.verbs.system_set import system_verbs
from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import StandinManager, standin_manager

pytestmark = pytest.mark.anyio

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "system-agent.toml"
    path.write_text('deny = ["guest-exec*", "guest-shutdown"]\nfsfreeze-hooks = []\n')
    return path


@asynccontextmanager
async def started(bus: PrivateBus, config: Path, state: Path) -> AsyncIterator[Process]:
    command = [
        sys.executable,
        "-m",
        "guestmux_session",
        "--system",
        "--config",
        str(config),
        "--bus",
        bus.address,
    ]
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(state)}
    async with await anyio.open_process(command, env=environment, stdout=None, stderr=PIPE) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


@pytest.fixture
async def manager(system_bus: PrivateBus) -> AsyncIterator[StandinManager]:
    async with standin_manager(system_bus.address) as manager:
        yield manager


@needs_root
async def test_it_claims_the_system_and_serves_what_is_allowed(
    system_bus: PrivateBus, manager: StandinManager, config: Path, tmp_path: Path
) -> None:
    async with started(system_bus, config, tmp_path) as process:
        agent = await manager.agent("guestmux-system")
        assert agent.claim == "system"
        assert {"guest-file-open", "guest-fsfreeze-freeze", "guest-suspend-ram"} <= agent.commands.keys()
        refused = {"guest-exec", "guest-exec-status", "guest-exec-live", "guest-shutdown"}
        assert not refused & agent.commands.keys()
        assert await manager.call(agent, "guest-fsfreeze-status") == "thawed"
        for name in refused:
            with pytest.raises(CallError, match="has not been found"):
                await manager.call(agent, name, {"path": "/bin/true"})
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert process.stderr is not None
        log = (await process.stderr.receive(65536)).decode()
    assert "switched off by the configuration: guest-exec, guest-exec-attach, guest-exec-close" in log


@needs_root
async def test_while_frozen_a_signal_waits_for_the_thaw(
    system_bus: PrivateBus, manager: StandinManager, config: Path, tmp_path: Path
) -> None:
    (tmp_path / STATE_NAME).touch()
    async with started(system_bus, config, tmp_path) as process:
        agent = await manager.agent("guestmux-system")
        process.send_signal(signal.SIGTERM)
        assert await manager.call(agent, "guest-fsfreeze-status") == "frozen"
        assert isinstance(await manager.call(agent, "guest-fsfreeze-thaw"), int)
        assert await process.wait() == 0
    assert not (tmp_path / STATE_NAME).exists()


@needs_root
async def test_while_frozen_a_second_signal_ends_it(
    system_bus: PrivateBus, manager: StandinManager, config: Path, tmp_path: Path
) -> None:
    (tmp_path / STATE_NAME).touch()
    async with started(system_bus, config, tmp_path) as process:
        agent = await manager.agent("guestmux-system")
        process.send_signal(signal.SIGTERM)
        assert await manager.call(agent, "guest-fsfreeze-status") == "frozen"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert (tmp_path / STATE_NAME).exists()


async def test_a_freeze_does_not_outlive_an_eventd_that_stays_away(
    system_bus: PrivateBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    freeze = Freeze(tmp_path / STATE_NAME, FreezeHooks(), list)
    agent = SystemAgent([freeze], permits=lambda _name: True, bus=system_bus.address, patience=0.05)
    async with anyio.create_task_group() as tasks:
        async with standin_manager(system_bus.address) as manager:
            tasks.start_soon(agent.run)
            await manager.agent("guestmux-system")
            freeze._state.set()
            await anyio.wait_all_tasks_blocked()
            assert freeze.frozen
        while (tmp_path / STATE_NAME).exists():  # noqa: ASYNC110 - a thread ends it, and tells nobody
            await anyio.sleep(0.01)
        # The next eventd is told that nothing is frozen.
        async with standin_manager(system_bus.address) as manager:
            registered = await manager.agent("guestmux-system")
            assert await manager.call(registered, "guest-fsfreeze-status") == "thawed"
            assert await manager.call(registered, "guest-fsfreeze-thaw") == 0
        tasks.cancel_scope.cancel()
    assert "eventd was away" in caplog.text


async def test_a_freeze_outlives_an_eventd_that_comes_back(system_bus: PrivateBus, tmp_path: Path) -> None:
    freeze = Freeze(tmp_path / STATE_NAME, FreezeHooks(), list)
    agent = SystemAgent([freeze], permits=lambda _name: True, bus=system_bus.address)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.run)
        async with standin_manager(system_bus.address) as manager:
            await manager.agent("guestmux-system")
            freeze._state.set()
        async with standin_manager(system_bus.address) as manager:
            registered = await manager.agent("guestmux-system")
            assert await manager.call(registered, "guest-fsfreeze-status") == "frozen"
            freeze._state.unset()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('deny = ["guest-exce"]', "deny: 'guest-exce' matches no command (is 'guest-exec' meant?)"),
        ('deny = ["guest-exec;guest-file-open"]', "each command is an item of its own"),
        ('deny = ["guest-exec,guest-file-open"]', "each command is an item of its own"),
        ('allow = ["exec"]', "allow: 'exec' matches no command"),
        ('deny = [""]', "deny: '' matches no command"),
        ('deny = "guest-exec"', "Expected `array`, got `str` - at `$.deny`"),
        ('dney = ["guest-exec"]', "there is no option 'dney' (is 'deny' meant?)"),
        ('blacklist = ["guest-exec"]', "there is no option 'blacklist'"),
        ('deny = ["guest-fsfreeze-thaw"]', "guest-fsfreeze-thaw must be allowed where freezing is"),
        ('allow = ["guest-fsfreeze-freeze*"]', "guest-fsfreeze-thaw must be allowed where freezing is"),
        ("fsfreeze-hook-timeout = 0", "Expected `float` > 0.0 - at `$.fsfreeze-hook-timeout`"),
        ("deny = [guest-exec]", "no TOML"),
    ],
)
def test_what_is_written_wrongly_refuses_to_start(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "system-agent.toml"
    path.write_text(text)
    assert main(["--system", "--config", str(path)]) == 78
    assert capsys.readouterr().err.startswith(f"guestmux-session: {path}: ")
    assert main(["--system", "--config", str(path), "--check-config"]) == 78
    assert complaint in capsys.readouterr().err


def test_without_a_configuration_it_refuses_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--system", "--config", str(tmp_path / "missing.toml")]) == 78
    assert capsys.readouterr().err.endswith("missing.toml: No such file or directory\n")


def test_the_configuration_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--system", "--config", str(config), "--check-config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"off guest-exec", "off guest-shutdown", "on  guest-suspend-ram"} <= set(lines)


@pytest.mark.parametrize(
    "arguments", [["--system", "--session", "c2"], ["--config", "/dev/null"], ["--check-config"]]
)
def test_options_that_do_not_go_together(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("text", "served"),
    [
        ("", {"guest-exec", "guest-shutdown", "guest-get-load"}),
        ('allow = ["guest-get-*"]', {"guest-get-load"}),
        ('allow = ["*"]\ndeny = ["guest-exec*"]', {"guest-shutdown", "guest-get-load"}),
        ("allow = []", set()),
    ],
)
def test_deny_wins_and_an_allow_list_denies_the_rest(text: str, served: set[str], tmp_path: Path) -> None:
    path = tmp_path / "system-agent.toml"
    path.write_text(text)
    config = read_system_config(path)
    check_commands(path, config, GUEST)
    names = ("guest-exec", "guest-shutdown", "guest-get-load")
    assert {name for name in names if config.permits(name)} == served


def test_the_system_agent_serves_all_that_qemu_ga_does(tmp_path: Path) -> None:
    served = command_names(system_verbs(Freeze(tmp_path / STATE_NAME)))
    assert sorted(served) == sorted(GUEST)


def test_a_session_agent_serves_nothing_that_takes_root() -> None:
    served = command_names(session_verbs(SystemSurroundings()))
    assert not [
        name for name in served if name.startswith(("guest-set-", "guest-fs", "guest-s", "guest-ssh"))
    ]
    assert {"guest-exec", "guest-file-open", "guest-get-osinfo"} <= set(served)


def test_everything_is_allowed_by_default() -> None:
    assert all(SystemConfig().permits(name) for name in GUEST)
