"""What the packages carry, as far as it can be checked without building them: nothing goes stale in silence."""

import argparse
import re
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

from guestmux_eventd.__main__ import build_parser as eventd_parser
from guestmux_eventd.config import Config, make_config
from guestmux_protocol.guest import GUEST
from guestmux_session.__main__ import build_parser as session_parser
from guestmux_session.check_command import build_parser as check_parser
from guestmux_session.log_command import build_parser as log_parser
from guestmux_session.session_config import SessionConfig
from guestmux_session.system_config import SystemConfig, check_commands, read_system_config

TREE = Path(__file__).parents[2]
PACKAGING = TREE / "packaging"
PROJECT = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]

SESSION_CONFIGURATION = (PACKAGING / "session-agent.toml").read_text()
SYSTEM_CONFIGURATION = (PACKAGING / "system-agent.toml").read_text()
CONFIGURATION = (PACKAGING / "eventd.toml").read_text()
TABLES = ("port", "policy", "privacy")
OPTIONS = [name.replace("_", "-") for name in Config.__struct_fields__ if name not in TABLES]


def pinned() -> dict[str, str]:
    """The carried versions by name."""
    return dict(re.findall(r"^([a-z-]+)==([0-9.]+) ", (PACKAGING / "wheels.txt").read_text(), re.MULTILINE))


def wanted() -> list[Requirement]:
    """What guest and host need by pyproject.toml; dbus-fast takes dbus-next's place in the packages."""
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *extras["fast"], *extras["host"]]
    return [requirement for text in named if (requirement := Requirement(text)).name != "guestmux"]


@pytest.mark.parametrize("requirement", wanted(), ids=lambda requirement: requirement.name)
def test_carried_libraries_are_what_the_project_wants(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pinned()[requirement.name])


@pytest.mark.parametrize(
    ("page", "parsers"),
    [
        ("guestmux-eventd.8", [eventd_parser()]),
        ("guestmux-session.1", [session_parser(), log_parser(), check_parser()]),
    ],
    ids=["eventd", "session"],
)
def test_manual_pages_have_every_option(page: str, parsers: list[argparse.ArgumentParser]) -> None:
    told = set(
        re.findall(r"^\.It (?:Fl h , )?Fl (-[a-z-]+)", (PACKAGING / "man" / page).read_text(), re.MULTILINE)
    )
    actions = [action for parser in parsers for action in parser._actions]
    flags = {flag for action in actions for flag in action.option_strings if flag.startswith("--")}
    assert {f"-{flag}" for flag in told} == flags


def completed(*words: str) -> set[str]:
    """What bash offers for the last of these words."""
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _guestmux_session; '
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    file = PACKAGING / "completions" / "guestmux-session"
    done = subprocess.run(
        ["bash", "-c", script, "bash", file, "guestmux-session", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "parser", "more"),
    [
        ((), session_parser(), {"log", "check-agent"}),
        (("log",), log_parser(), set()),
        (("check-agent",), check_parser(), {"--"}),
    ],
    ids=["agent", "log", "check-agent"],
)
def test_bash_completes_every_option(
    words: tuple[str, ...], parser: argparse.ArgumentParser, more: set[str]
) -> None:
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    assert completed(*words, "") == flags | more


def test_bash_completes_values() -> None:
    assert completed("--log-level", "w") == {"warning"}
    assert completed("log", "--m") == {"--mine"}
    assert completed("check-agent", "x", "--", "") == set()


def test_manual_page_has_every_configuration_option() -> None:
    page = (PACKAGING / "man" / "eventd.toml.5").read_text()
    told = dict(re.findall(r"^\.It Ic ([a-z-]+) No = (?:Qq )?(.*)$", page, re.MULTILINE))
    shown = {name: value.replace("\\&", "") for name, value in told.items()}
    assert shown == {name: as_toml(getattr(Config(), name.replace("-", "_"))) for name in OPTIONS}


def as_toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_system_agents_manual_page_and_configuration_have_every_option() -> None:
    page = (PACKAGING / "man" / "system-agent.toml.5").read_text()
    told = set(re.findall(r"^\.It Ic ([a-z-]+) No = ", page, re.MULTILINE))
    shown = re.sub(r"^#(?=[a-z-]+ = )", "", SYSTEM_CONFIGURATION, flags=re.MULTILINE)
    options = {field.encode_name for field in msgspec.structs.fields(SystemConfig)}
    assert told == tomllib.loads(shown).keys() == options


def test_session_agents_manual_page_and_configuration_have_every_option() -> None:
    page = (PACKAGING / "man" / "session-agent.toml.5").read_text()
    told = set(re.findall(r"^\.It Ic ([a-z-]+) No = ", page, re.MULTILINE))
    shown = re.sub(r"^#(?=[a-z-]+ = )", "", SESSION_CONFIGURATION, flags=re.MULTILINE)
    assert told == tomllib.loads(shown).keys()
    # Each shows its default.
    assert msgspec.convert(tomllib.loads(shown), SessionConfig) == SessionConfig()
    assert told == {field.encode_name for field in msgspec.structs.fields(SessionConfig)}


def test_system_agents_configuration_shows_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "system-agent.toml"
    file.write_text(re.sub(r"^#(?=[a-z-]+ = )", "", SYSTEM_CONFIGURATION, flags=re.MULTILINE))
    shown = read_system_config(file)
    check_commands(file, shown, GUEST)
    assert msgspec.structs.replace(shown, allow=None) == SystemConfig()
    assert all(shown.permits(name) for name in GUEST)


def test_default_configuration_explains_every_option() -> None:
    """Each is there as a comment, with its default, which is taken when the mark is taken away."""
    shown = re.sub(r"^#(?=[a-z-]+ = )", "", CONFIGURATION, flags=re.MULTILINE)
    settings = tomllib.loads(shown)
    ports = settings.pop("port")
    assert set(settings) == set(OPTIONS)
    assert make_config(settings, "shown") == Config()
    assert [port["dialect"] for port in ports] == ["qmp", "qga"]


def test_rpm_has_the_projects_version() -> None:
    spec = (PACKAGING / "guestmux.spec").read_text()
    assert re.findall(r"^Version: +(.*)$", spec, re.MULTILINE) == [PROJECT["version"]]


@pytest.mark.parametrize(
    "name", ["stage", "build-deb", "copyright", "users-systemctl", "autostart/autostart"]
)
def test_scripts_are_executable(name: str) -> None:
    assert (PACKAGING / name).stat().st_mode & 0o111


def test_handed_over_ports_are_the_configured_ones() -> None:
    rules = (PACKAGING / "udev" / "60-guestmux.rules").read_text()
    named = set(re.findall(r'ATTR\{name\}[!=]="([^"]+)"', rules))
    assert named == {port["address"].removeprefix("virtio:") for port in tomllib.loads(CONFIGURATION)["port"]}
