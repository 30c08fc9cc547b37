"""Configuration and command line: what is accepted, and how the rest is refused."""

from __future__ import annotations

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
