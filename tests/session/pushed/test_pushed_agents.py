"""Installing, listing and removing agents: real store and signatures; systemd and eventd say what a test wants."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_protocol.agent_bundle import MAX_MANIFEST
from guestmux_session.errors import CommandError
from guestmux_session.pushed.place import Place, PushPolicy
from guestmux_session.pushed.pushed_agents import PushedAgents
from guestmux_session.pushed.registrations import Registration, Registrations
from guestmux_session.pushed.signatures import Signatures
from guestmux_session.pushed.store import AgentFolder
from guestmux_session.pushed.units import Units
from tests.support.bundles import NAME, Key, manifest
from tests.support.stream_verbs import Refused, Streams, serving
from tests.support.stub_programs import StubPrograms

pytestmark = pytest.mark.anyio

UNIT = f"guestmux-pushed-agent@{NAME}.service"
SAID = "; its last words: its | last words"
CONTENTS = {"run": b"#!/bin/sh\n", "data": b"1" * 3000}

# systemd's: the unit's state is in a file, and a log is one line.
SYSTEMCTL = """
case "$*" in
*show*) cat {state} ;;
*) exec true ;;
esac
"""
JOURNALCTL = """
case "$*" in
*--follow*) echo $$; exec sleep 1000 ;;
*) echo its; echo last words ;;
esac
"""


# Of an agent that wrote more than an error has; systemd said more since.
LONG_JOURNAL = """
case "$*" in
*_SYSTEMD_USER_UNIT={unit}*) printf '1 %.0s' $(seq 800); echo; echo 'SyntaxError: so it is' ;;
*--unit*) echo Failed at step EXEC ;;
esac
"""
NO_RESTART = """
case "$*" in
*show*) cat {state} ;;
*restart*) echo masked >&2; exit 1 ;;
esac
"""


class Told(Registrations):
    """What eventd would say."""

    def __init__(self) -> None:
        super().__init__(system=False)
        self.rows: list[Registration] = []
        self.started: Callable[[], bool] = lambda: True
        self.asked = anyio.Event()

    async def all(self) -> list[Registration]:
        """The rows of the test, once an agent was started."""
        self.asked.set()
        return self.rows if self.started() else []


class Rig:
    """A user's agents."""

    def __init__(self, folder: Path, key: Key) -> None:
        self.key = key
        self.store = folder / "store"
        self.programs = StubPrograms(folder)
        self.state = folder / "state"
        self.state.write_text("active\n")
        self.programs.add("systemctl", SYSTEMCTL.format(state=self.state))
        self.programs.add("journalctl", JOURNALCTL)
        self.signers = folder / "signers"
        self.signers.write_text(f"*@alice {key.public}")
        self.signers.chmod(0o644)
        self.told = Told()
        self.told.started = self.runs

    def part(self, policy: PushPolicy = "signed") -> PushedAgents:
        """What serves the commands."""
        path = f"{self.programs.path}:{os.environ['PATH']}"
        return PushedAgents(
            Place(self.store, "alice", system=False),
            policy,
            Signatures(self.signers, owner=os.getuid()),
            Units(system=False, path=path),
            self.told,
        )

    def registered(self, *versions: str) -> None:
        """eventd knows these versions."""
        self.told.rows = [Registration("c2", NAME, version) for version in versions]

    def calls(self) -> list[str]:
        """What systemctl was to do, without looking."""
        prefix = "systemctl --user --quiet "
        calls = [call.removeprefix(prefix) for call in self.programs.calls() if call.startswith(prefix)]
        return [call.removesuffix(f" {UNIT}") for call in calls if not call.startswith("show")]

    def runs(self) -> bool:
        """Whether systemd has started it, and not stopped it."""
        done = [call.split()[0] for call in self.calls()]
        return [word for word in done if word != "enable"][-1:] in (["start"], ["restart"])

    def there(self) -> list[str]:
        """What is in the agent's directory."""
        folder = self.store / NAME
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def rig(tmp_path: Path, key: Key) -> Rig:
    return Rig(tmp_path, key)


async def push(
    streams: Streams,
    rig: Rig,
    contents: dict[str, bytes] = CONTENTS,
    version: str = "1.0",
    *,
    signed: bool = True,
    sent: bytes | None = None,
    options: dict[str, Any] | None = None,
    **members: Any,
) -> dict[str, Any]:
    """Push a bundle, as a host would; gives the result, with the opening's answer. Raises Refused."""
    text = manifest(contents, version, **members)
    asked = {"name": NAME, "manifest": text, **(options or {})}
    if signed:
        asked["signature"] = rig.key.sign(text)
    async with streams.open("agent-install", **asked) as stream:
        if stream.reply["wanted"]:
            await stream.write(b"".join(contents.values()) if sent is None else sent)
        await stream.end()
        return {"opened": stream.reply, **(await stream.result())}


async def until(look: Callable[[], object]) -> None:
    """Wait for something on the disk."""
    while not look():  # noqa: ASYNC110 - a thread of the part's makes it so
        await anyio.sleep(0.01)


async def refused(streams: Streams, rig: Rig, *arguments: Any, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        await push(streams, rig, *arguments, **options)
    return str(caught.value)


async def test_a_signed_agent_is_installed_and_started(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        with caplog.at_level("INFO"):
            done = await push(streams, rig)
        assert done["opened"] == {"wanted": 3010, "signer": done["signer"]}
        assert (done["version"], done["session"]) == ("1.0", "c2")
        assert done["signer"].startswith("ED25519 SHA256:")
        assert f"agent '{NAME}' 1.0, signed by {done['signer']}, was installed by" in caplog.text
        assert rig.calls() == ["stop", "start", "enable"]
        assert rig.there() == ["1.0", "current"]
        files = AgentFolder(rig.store, NAME).files("1.0")
        assert {path.name: path.read_bytes() for path in files.iterdir()} == CONTENTS
        [shown] = await streams.get("agent-list")
        assert shown == {
            "name": NAME,
            "version": "1.0",
            "unit": "active",
            "session": "c2",
            "signer": done["signer"],
        }


async def test_what_the_policy_does_not_take(rig: Rig) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        assert "takes signed agents only" in await refused(streams, rig, signed=False)
        text = manifest(CONTENTS)
        other = await streams.refused(
            "agent-install", name=NAME, manifest=text + " ", signature=rig.key.sign(text)
        )
        assert "incorrect signature" in other
    async with serving(rig.part("never")) as streams:
        assert "takes no agents" in await refused(streams, rig)
    assert not rig.store.exists()
    async with serving(rig.part("any")) as streams:
        assert "signer" not in await push(streams, rig, signed=False)
        assert "trusts no such signature" in await streams.refused(
            "agent-install", name=NAME, manifest=text, signature="none"
        )


async def test_who_signed_for_one_agent_has_not_for_another(rig: Rig) -> None:
    rig.signers.write_text(f"{NAME}@alice {rig.key.public}")
    text = manifest(CONTENTS, name="org.example.other")
    async with serving(rig.part()) as streams:
        told = await streams.refused("agent-install", name=NAME, manifest=text, signature=rig.key.sign(text))
        assert told == f"the manifest is of 'org.example.other', and not of '{NAME}'"
        told = await streams.refused(
            "agent-install", name="other", manifest=text, signature=rig.key.sign(text)
        )
        assert "not for this agent and user" in told


async def test_a_signed_manifest_may_be_hostile_all_the_same(rig: Rig) -> None:
    async with serving(rig.part()) as streams:
        for path in ("../../.bashrc", "/etc/passwd", "a/../../b"):
            assert "no path inside" in await refused(streams, rig, {**CONTENTS, path: b"x"})
        assert "manifest: " in await refused(streams, rig, files=[])
        for name in ("../up", ".locks", "a/b", ""):
            assert "Invalid parameter" in await streams.refused("agent-install", name=name, manifest="")
            with pytest.raises(Refused, match="Invalid parameter"):
                await streams.get("agent-remove", name=name)
    assert not rig.store.exists()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"#!/bin/sh\n" + b"2" * 3000, "'data' is not the file that the manifest names"),
        (b"#!/bin/sh\n" + b"1" * 3001, "more came than the manifest"),
        (b"#!/bin/sh\n" + b"1" * 2999, "'data' is not whole"),
    ],
)
async def test_files_that_were_changed_leave_nothing(rig: Rig, sent: bytes, reason: str) -> None:
    async with serving(rig.part()) as streams:
        assert reason in await refused(streams, rig, sent=sent)
        assert rig.there() == []
        rig.registered("1.0")
        await push(streams, rig)
        assert reason in await refused(streams, rig, version="1.1", sent=sent)
        assert rig.there() == ["1.0", "current"]
        assert rig.calls() == ["stop", "start", "enable"]


async def test_a_host_that_leaves_while_it_sends_leaves_nothing(rig: Rig) -> None:
    text = manifest(CONTENTS)
    async with serving(rig.part()) as streams:
        asked = {"name": NAME, "manifest": text, "signature": rig.key.sign(text)}
        async with streams.open("agent-install", **asked) as stream:
            await stream.write(b"#!")
            await until(rig.there)
            await stream.abort()
        await until(lambda: not rig.there())
        assert rig.calls() == []


async def test_upgrades(rig: Rig) -> None:
    async with serving(rig.part()) as streams:
        assert "no agent" in await refused(streams, rig, options={"upgrade": True})
        rig.registered("1.9")
        await push(streams, rig, version="1.9")
        rig.registered("1.10")
        done = await push(streams, rig, version="1.10", options={"upgrade": True})
        assert done["opened"]["former"] == done["former"] == "1.9"
        assert rig.there() == ["1.10", "current"]
        assert "'1.9'" not in await refused(streams, rig, version="1.9")
        assert "no older than 1.9" in await refused(streams, rig, version="1.9")
        rig.registered("1.9")
        assert (await push(streams, rig, version="1.9", options={"force": True}))["former"] == "1.10"
        assert rig.there() == ["1.9", "current"]


async def test_the_same_once_more(rig: Rig, tmp_path: Path) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        first = await push(streams, rig)
        done = await push(streams, rig)
        assert done["unchanged"]
        assert done["opened"]["wanted"] == 0
        assert rig.calls() == ["stop", "start", "enable", "start", "enable"]
        assert "what has changed needs a new version" in await refused(
            streams, rig, {**CONTENTS, "data": b"2"}, options={"force": True}
        )
        # By another key: the one before may be trusted no more.
        other = Key(tmp_path, "other")
        rig.signers.write_text(f"*@alice {other.public}")
        rig.key = other
        done = await push(streams, rig)
        assert done["unchanged"]
        assert done["signer"] != first["signer"]
        folder = AgentFolder(rig.store, NAME)
        assert folder.record("1.0").signer == done["signer"]
        assert folder.signature("1.0") == other.sign(folder.manifest_text("1.0").decode())


async def test_one_that_does_not_register_is_removed(rig: Rig) -> None:
    async with serving(rig.part()) as streams:
        told = await refused(streams, rig, **{"register-seconds": 1})
        assert told == f"'{NAME}' 1.0: it did not register within 1 s; it was removed again{SAID}"
        assert rig.there() == []
        assert rig.calls() == ["stop", "start", "disable --now"]
        assert await streams.get("agent-list") == []


async def test_one_that_ends_is_not_waited_for(rig: Rig) -> None:
    rig.state.write_text("failed\n")
    async with serving(rig.part()) as streams:
        assert "it has ended (failed)" in await refused(streams, rig, **{"register-seconds": 600})


async def test_an_upgrade_that_does_not_register_is_taken_back(rig: Rig) -> None:
    async with serving(rig.part()) as streams:
        rig.registered("1.0")
        await push(streams, rig)
        rig.registered("7")
        # It is not waited for any longer: it will not have another.
        told = await refused(streams, rig, version="1.1", **{"register-seconds": 600})
        reason = "it registered as version 7; 1.0 runs again"
        assert told == f"'{NAME}' 1.1: {reason}{SAID}"
        assert rig.there() == ["1.0", "current"]
        assert rig.calls() == ["stop", "start", "enable", "stop", "start", "restart"]


async def test_one_that_registers_by_another_name_is_told(rig: Rig) -> None:
    rig.told.rows = [Registration("c2", "org.example.cluck", "1.0")]
    async with serving(rig.part()) as streams:
        told = await refused(streams, rig, **{"register-seconds": 1})
    assert "within 1 s; 'org.example.cluck' 1.0 did meanwhile; it was removed again; its" in told


async def test_last_words_are_its_own_and_the_last(rig: Rig) -> None:
    rig.programs.add("journalctl", LONG_JOURNAL.format(unit=UNIT))
    rig.state.write_text("failed\n")
    async with serving(rig.part()) as streams:
        told = await refused(streams, rig)
        assert "(failed); it was removed again; its last words: 1 1 1 " in told
        assert told.endswith("1 1 1 | SyntaxError: so it is")
        rig.programs.add("journalctl", LONG_JOURNAL.format(unit="other"))
        assert (await refused(streams, rig)).endswith("its last words: Failed at step EXEC")


async def test_what_cannot_be_put_back_is_told_and_tried_once(rig: Rig) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        await push(streams, rig)
        rig.state.write_text("failed\n")
        rig.programs.add("systemctl", NO_RESTART.format(state=rig.state))
        told = await refused(streams, rig, version="1.1")
        assert "; what was there before could not be put back: systemctl: masked; its last words" in told
        assert rig.there() == ["1.0", "current"]


async def test_a_trial_is_over_when_the_former_version_was_started(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def restart(_units: Units, _name: str) -> None:
        seen.append((folder.current, folder.former))

    folder = AgentFolder(rig.store, NAME)
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        await push(streams, rig)
        rig.state.write_text("failed\n")
        monkeypatch.setattr(Units, "restart", restart)
        assert "1.0 runs again" in await refused(streams, rig, version="1.1")
    assert seen == [("1.0", "1.0")]
    assert folder.former is None


async def test_a_host_that_leaves_during_the_trial_leaves_the_old_version(rig: Rig) -> None:
    async with serving(rig.part()) as streams:
        rig.registered("1.0")
        await push(streams, rig)
        rig.registered()
        rig.told.asked = anyio.Event()
        pushing = asyncio.create_task(push(streams, rig, version="1.1"))
        await rig.told.asked.wait()
        assert rig.there() == [".trial", "1.0", "1.1", "current"]
        assert "is being installed or removed by somebody else" in await refused(streams, rig, version="1.2")
        with pytest.raises(Refused, match="by somebody else"):
            await streams.get("agent-remove", name=NAME)
        pushing.cancel()
        await asyncio.wait([pushing])
        await until(lambda: rig.there() == ["1.0", "current"])


async def test_what_was_killed_half_way_is_undone(rig: Rig) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        await push(streams, rig)
    folder = AgentFolder(rig.store, NAME)
    text = manifest(CONTENTS, "1.1").encode()
    folder.adopt(folder.begin(), "1.1", text, "", "")
    folder.begin()
    folder.begin_trial("1.1")
    # It was killed while it made the link.
    (rig.store / NAME / ".new-current").symlink_to("1.0")
    assert (folder.current, folder.former) == ("1.1", "1.0")
    await rig.part().recover()
    assert (folder.current, folder.former) == ("1.0", None)
    assert rig.there() == ["1.0", "current"]
    assert rig.calls()[-1] == "restart"


async def test_a_first_one_that_was_killed_half_way_is_removed(rig: Rig) -> None:
    folder = AgentFolder(rig.store, NAME)
    with folder.locked():
        folder.adopt(folder.begin(), "1.0", manifest(CONTENTS).encode(), "", "")
        folder.begin_trial("1.0")
    await rig.part().recover()
    assert rig.there() == []
    assert rig.calls() == ["disable --now"]


async def test_what_never_ran_is_swept_and_what_is_whole_not_touched(rig: Rig) -> None:
    rig.registered("1.0")
    part = rig.part()
    async with serving(part) as streams:
        await push(streams, rig)
    folder = AgentFolder(rig.store, "org.example.other")
    folder.adopt(folder.begin(), "1.0", b"", "", "")
    AgentFolder(rig.store, NAME).begin()
    (rig.store / ".locks" / NAME).unlink()
    await part.recover()
    assert sorted(path.name for path in rig.store.iterdir()) == [".locks", NAME]
    assert rig.there() == ["1.0", "current"]
    (rig.store / ".locks" / NAME).unlink()
    await part.recover()
    assert not (rig.store / ".locks" / NAME).exists()
    assert rig.calls() == ["stop", "start", "enable"]


async def test_a_version_that_cannot_be_tried_leaves_the_one_that_runs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: AgentFolder, _version: str) -> None:
        raise OSError(28, "No space left on device")

    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        await push(streams, rig)
        monkeypatch.setattr(AgentFolder, "begin_trial", fail)
        assert "No space left on device" in await refused(streams, rig, version="1.1")
        assert AgentFolder(rig.store, NAME).current == "1.0"
        assert rig.calls() == ["stop", "start", "enable"]


async def test_a_name_that_an_agent_has_which_was_not_pushed(rig: Rig) -> None:
    rig.registered("1.0")
    rig.told.started = lambda: True
    async with serving(rig.part()) as streams:
        assert "is registered in session 'c2' that was not pushed" in await refused(streams, rig)
        assert rig.there() == []


async def test_removal(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        with pytest.raises(Refused, match=f"no agent '{NAME}' was pushed here"):
            await streams.get("agent-remove", name=NAME)
        # Else a host could fill the disk with what names it asks for.
        assert not rig.store.exists()
        await push(streams, rig)
        with caplog.at_level("INFO"):
            assert await streams.get("agent-remove", name=NAME) == {"version": "1.0"}
        assert f"agent '{NAME}' 1.0, signed by ED25519 SHA256:" in caplog.text
        assert rig.there() == []
        assert rig.calls()[-1] == "disable --now"


async def test_without_systemd_nothing_stays(rig: Rig) -> None:
    rig.programs.add("systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    async with serving(rig.part()) as streams:
        assert "systemctl: Failed to connect to bus" in await refused(streams, rig)


async def test_logs(rig: Rig) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        assert "no agent" in await streams.refused("agent-logs", name=NAME)
        await push(streams, rig)
        async with streams.open("agent-logs", name=NAME, lines=7) as stream:
            assert stream.reply == {"unit": UNIT}
            assert await stream.read_all() == b"its\nlast words\n"
        assert f"--lines=7 --output=short-iso --unit {UNIT}" in rig.programs.calls()[-1]
        async with streams.open("agent-logs", name=NAME, follow=True) as stream:
            process = Path("/proc") / (await stream.until(b"\n")).decode().strip()
            assert process.exists()
        await until(lambda: not process.exists())
        assert "Invalid parameter" in await streams.refused("agent-logs", name=NAME, lines=10_001)


async def test_a_store_that_its_user_has_tampered_with(rig: Rig) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        await push(streams, rig)
        (rig.store / NAME / "1.0" / "record.json").write_text("nonsense")
        (rig.store / "file").write_text("")
        for odd in ("my agent", "-option", "x" * 200, "guestmux-session"):
            (rig.store / odd).mkdir()
            (rig.store / odd / "current").symlink_to("1.0")
        (rig.store / "org.example.no-link").mkdir()
        (rig.store / "org.example.no-link" / "current").mkdir()
        assert [agent["name"] for agent in await streams.get("agent-list")] == [NAME]
        (rig.store / NAME / "1.0" / "MANIFEST").write_text(json.dumps({"no": "manifest"}))
        assert "what has changed needs a new version" in await refused(streams, rig)
        rig.registered("1.1")
        assert (await push(streams, rig, version="1.1"))["former"] == "1.0"


async def test_a_store_whose_user_has_put_other_things_in_place_of_files(rig: Rig) -> None:
    rig.registered("1.0")
    async with serving(rig.part()) as streams:
        await push(streams, rig)
        folder = AgentFolder(rig.store, NAME)
        version = rig.store / NAME / "1.0"
        for name in ("record.json", "MANIFEST", "MANIFEST.sig"):
            (version / name).unlink()
            os.mkfifo(version / name)
        os.mkfifo(rig.store / NAME / ".trial")
        assert [agent["name"] for agent in await streams.get("agent-list")] == [NAME]
        for read in (folder.manifest_text, folder.signature, lambda _version: folder.former):
            with pytest.raises(OSError, match="it is no file"):
                read("1.0")
        (version / "MANIFEST").unlink()
        (version / "MANIFEST").write_bytes(bytes(MAX_MANIFEST * 2))
        with pytest.raises(CommandError, match="more than"):
            folder.manifest("1.0")
