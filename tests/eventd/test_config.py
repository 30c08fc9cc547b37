"""Configuration and command line: what is accepted, and how the rest is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from guestmux_eventd.__main__ import EXIT_CONFIG, main
from guestmux_eventd.config import Config, ConfigError, make_config

DEFAULT_CONFIG = Path(__file__).parents[2] / "packaging" / "eventd.toml"


def write(directory: Path, text: str) -> str:
    path = directory / "eventd.toml"
    path.write_text(text)
    return str(path)


def test_the_default_needs_no_file() -> None:
    assert make_config({}, "x") == Config()


def test_file_and_options_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path, 'call-timeout = 5\n[[port]]\ndialect = "qga"\naddress = "virtio:org.qemu.guest_agent.0"\n'
    )
    options = [
        "--config",
        path,
        "--port",
        "qmp=unix-listen:/tmp/x",
        "--bus",
        "unix:path=/b",
        "--check-config",
    ]
    assert main(options) == 0
    assert capsys.readouterr().out.splitlines() == [
        "port virtio:org.qemu.guest_agent.0: qga",
        "port unix-listen:/tmp/x: qmp",
        "bus unix:path=/b",
        "call-timeout 5 s",
    ]


def test_the_privacy_tables_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, '[[privacy]]\nevents = ["SESSION_*"]\nusers = ["bob"]\nwithhold = ["uid"]\n')
    assert main(["--config", path, "--check-config"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "privacy SESSION_*, user:bob; withhold uid"


def test_the_examples_in_the_shipped_configuration_are_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = DEFAULT_CONFIG.read_text()
    tables = re.findall(r"^#   \[\[p.*\n(?:#   [a-z-]+ = .*\n)+", shown, re.MULTILINE)
    assert len(tables) == shown.count("#   [[") == 4
    path = write(tmp_path, shown + "".join(tables).replace("#   ", ""))
    assert main(["--config", path, "--check-config"]) == 0, capsys.readouterr().err


def test_the_shipped_configuration_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(DEFAULT_CONFIG), "--check-config"]) == 0
    assert "qga" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "prot"),
        ("call-timeout = 'x'", "call-timeout"),
        ("call-timeout = 0", "call-timeout"),
        ("port = 3", "port"),
        ('[[port]]\ndialect = "spice"\naddress = "fd:3"', "spice"),
        ('[[port]]\ndialect = "qga"\naddress = "tcp:1"', "unix-listen:PATH"),
        ('[[port]]\ndialect = "qga"\naddress = "fd:3"\n' * 2, "twice"),
        ('[[privacy]]\nevents = ["SESSION_LOGN"]\ndrop = true', "is 'SESSION_LOGIN' meant?"),
        ('[[privacy]]\nevents = ["APP_*"]\nwithold = ["title"]', "withold"),
        ('[[privacy]]\nevents = "APP_*"\ndrop = true', "privacy"),
        ("[[privacy]]\nevents = []\ndrop = true", "privacy"),
        ("[[privacy]]\ndrop = true", "events"),
        ('[[privacy]]\nevents = ["*"]\nwithhold = ["seq"]', "cannot be withheld"),
        ("= 1", "no TOML"),
        ("\x00", "no TOML"),
    ],
)
def test_a_file_written_wrongly_refuses_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = write(tmp_path, text)
    assert main(["--config", path, "--check-config"]) == EXIT_CONFIG
    error = capsys.readouterr().err
    assert said in error
    assert path in error
    assert "Traceback" not in error


def test_a_file_that_was_named_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none"), "--check-config"]) == EXIT_CONFIG
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["qmp", "qmp:unix-listen:/x", "=", "qga=nonsense"])
def test_a_wrong_port_option_is_said(capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert main(["--config", "/dev/null", "--port", port, "--check-config"]) == EXIT_CONFIG
    assert capsys.readouterr().err


def test_too_many_ports_are_refused() -> None:
    ports: list[Any] = [{"dialect": "qga", "address": f"fd:{n}"} for n in range(3, 30)]
    with pytest.raises(ConfigError, match="port"):
        make_config({"port": ports}, "x")


PORT = '[[port]]\ndialect = "qmp"\naddress = "virtio:org.guestmux.0"\n'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            'deny = ["guest-exec;guest-file-open"]',
            "policy 1: deny: 'guest-exec;guest-file-open' is no pattern",
        ),
        ('deny = ["guest-exce"]', "'guest-exce' matches no command; is 'guest-exec' meant?"),
        ('deni = ["guest-exec"]', "deni"),
        ('deny = "guest-exec"', "array"),
        ('session-class = ["users"]\ndeny = ["*"]', "session-class: 'users' is none; is 'user' meant?"),
        (
            'port = "virtio:org.qemu.*"\ndeny = ["*"]',
            "'virtio:org.qemu.*' matches none of virtio:org.guestmux.0",
        ),
        ("", "neither allows nor denies"),
    ],
)
def test_a_policy_written_wrongly_refuses_to_start(
    table: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, f"{PORT}[[policy]]\n{table}\n")
    assert main(["--config", path]) == EXIT_CONFIG
    told = capsys.readouterr().err
    assert path in told
    assert said in told


def test_a_policy_may_speak_of_a_port_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path, PORT + '[[policy]]\nport = "fd:*"\nallow = ["guest-get-*"]\ndeny = ["__org.example_*"]\n'
    )
    assert main(["--config", path, "--port", "qga=fd:3", "--check-config"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "policy fd:*, all sessions; allow guest-get-*; deny __org.example_*"
    )
