"""The configuration file and the command line, beside qemu-ga's own dump of both."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from guestmux_qga.command_line import OPTIONS, Ask, UsageError, read_options, scan
from guestmux_qga.command_lists import check_lists, make_policy
from guestmux_qga.keyfile import KeyFileError, as_boolean, as_string, read_key_file, write_group
from guestmux_qga.options import ConfigurationError, Options, dump
from guestmux_qga.usage import HELP
from tests.support.qemu_ga import QEMU_GA

NO_FILE = {"QGA_CONF": "/no/such/file"}

FULL = r"""
# a comment
[general]
daemon = true
method=unix-listen
path = /a\sb\\c
logfile=/log
pidfile=/pid
fsfreeze-hook=/hook
statedir=/state
verbose=1
retry-path=false
block-rpcs=guest-ping
[other]
path=elsewhere
"""


def read(*arguments: str, environment: dict[str, str] = NO_FILE) -> Options:
    options = read_options([*arguments], environment)
    assert isinstance(options, Options)
    return options


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "qemu-ga.conf"
    path.write_text(FULL)
    return path


def test_nothing_said() -> None:
    options = read()
    assert (options.method, options.channel_path) == (
        "virtio-serial",
        "/dev/virtio-ports/org.qemu.guest_agent.0",
    )
    assert (options.pidfile, options.statedir, options.hook) == ("/var/run/qemu-ga.pid", "/var/run", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "isa-serial", "-p", "/p", "-v", "-r", "-b", "a,b"],
        ["-misa-serial", "-p/p", "-vr", "-ba,b"],
        ["-vrmisa-serial", "-p", "/p", "-b", "a", "-b", "b"],
        ["--method=isa-serial", "--path", "/p", "--verbose", "--retry-path", "--block-rpcs=a,b"],
        ["--me", "isa-serial", "--pa=/p", "--verb", "--re", "--bla", "a,b"],
        ["stray", "-m", "isa-serial", "word", "-p", "/p", "-v", "-r", "-b", "a,b"],
        ["-m", "x", "-m", "isa-serial", "-p", "/p", "-v", "-r", "-b", "a,b", "--", "-m", "y"],
    ],
)
def test_ways_to_write_the_same(arguments: list[str]) -> None:
    options = read(*arguments)
    assert (options.method, options.path) == ("isa-serial", "/p")
    assert (options.verbose, options.retry_path, options.blocked) == (True, True, ["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "hook"),
    [
        (["-F"], "/etc/qemu/fsfreeze-hook"),
        (["-F/hook"], "/hook"),
        (["-F", "/not/its/value"], "/etc/qemu/fsfreeze-hook"),
        (["--fsfreeze-hook"], "/etc/qemu/fsfreeze-hook"),
        (["--fsfreeze-hook=/hook"], "/hook"),
        (["-vF/hook"], "/hook"),
    ],
)
def test_the_hook_stands_in_the_same_word(arguments: list[str], hook: str) -> None:
    assert read(*arguments).hook == hook


@pytest.mark.parametrize(
    "arguments",
    [["-x"], ["-m"], ["--path"], ["--nonsense"], ["--ver"], ["--verbose=1"], ["-vx"], ["-?"]],
)
def test_no_command_line(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        read(*arguments)


@pytest.mark.parametrize(
    ("arguments", "ask"),
    [
        (["-h"], Ask.HELP),
        (["--help", "-m", "x"], Ask.HELP),
        (["-V"], Ask.VERSION),
        (["-b", "help"], Ask.COMMANDS),
        (["-a?"], Ask.COMMANDS),
        (["--block-rpcs=?"], Ask.COMMANDS),
    ],
)
def test_what_is_printed_instead(arguments: list[str], ask: Ask) -> None:
    assert read_options(arguments, {"QGA_CONF": "/"}) is ask


def test_a_file_and_what_overrides_it(file: Path) -> None:
    options = read("-p", "/other", "-b", "guest-info", environment={"QGA_CONF": str(file)})
    assert (options.daemonize, options.method, options.path) == (True, "unix-listen", "/other")
    assert (options.logfile, options.pidfile, options.hook) == ("/log", "/pid", "/hook")
    assert (options.statedir, options.verbose, options.retry_path) == ("/state", True, False)
    assert options.blocked == ["guest-ping", "guest-info"]


def test_the_command_lines_file_wins(file: Path, tmp_path: Path) -> None:
    assert read("-c", str(file), environment={"QGA_CONF": "/"}).path == "/a b\\c"
    with pytest.raises(ConfigurationError, match="No such file"):
        read("-c", str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path=/x\n", "before the first group"),
        ("[general]\nnonsense\n", "line 2 is no key-value pair"),
        ("[general]\ndaemon=yes\n", "boolean"),
        ("[general]\npath=a\\x\n", "escape"),
        ("[general]\npath=a\\", "escape"),
        ("[gene[ral]\n", "line 1"),
        ("[general]\n=x\n", "line 2"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "conf"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        read("-c", str(path))


@pytest.mark.parametrize("untrusted", [b"\xff", b"[general]\npath=\xc3\n"])
def test_a_file_of_other_bytes(tmp_path: Path, untrusted: bytes) -> None:
    path = tmp_path / "conf"
    path.write_bytes(untrusted)
    with pytest.raises(ConfigurationError):
        read("-c", str(path))


def test_a_key_file_of_every_kind_of_line() -> None:
    text = "\n#c\n [a]\r\nk = v \nk2=\nk[de]\n"
    with pytest.raises(KeyFileError, match="line 6"):
        read_key_file(text)
    assert read_key_file(text.replace("k[de]\n", "[b]\n[a]\nk=w")) == {"a": {"k": "w", "k2": ""}, "b": {}}


@pytest.mark.parametrize("text", ["", " lead", "\t \\n", "a\nb\rc", "trail ", "é", "a;b"])
def test_a_string_is_read_as_it_was_written(text: str) -> None:
    written = write_group("g", {"k": text})
    assert as_string(read_key_file(written)["g"]["k"]) == text


def test_booleans() -> None:
    assert [as_boolean(raw) for raw in ("true", "1 ", "false", "0")] == [True, True, False, False]


@pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-m", "unix-listen", "-p", "/a b", "-v", "-d", "-r", "-l", " lead", "-f", "/p", "-F", "-t", "/t"],
        ["-F/x\\y", "-b", "guest-ping"],
        ["-m", "isa-serial"],
        ["-m", "vsock-listen", "-p", "3:1234"],
        ["-m", "nonsense", "-p", "x"],
    ],
)
def test_dumps_are_the_peers(file: Path, arguments: list[str]) -> None:
    for conf in ("/no/such/file", str(file)):
        command = [str(QEMU_GA), "-D", *arguments]
        environment = {**os.environ, "QGA_CONF": conf}
        theirs = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        ours = dump(read("-D", *arguments, environment={"QGA_CONF": conf}))
        # 10.2 dumps the list of allowed commands as well.
        assert ours == theirs + "allow-rpcs=\n"


def test_a_dump_gives_the_same_options_again(file: Path, tmp_path: Path) -> None:
    options = read("-c", str(file), "-a", "guest-info,guest-ping")
    again = tmp_path / "again"
    again.write_text(dump(options))
    assert read("-c", str(again)) == options


KNOWN = {"guest-ping", "guest-exec", "guest-info"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("block-rpcs=guest-ping;guest-exec", "separated by commas"),
        ("allow-rpcs=guest-ping;", "separated by commas"),
        ("block-rpcs=guest-png", "no such command: 'guest-png'"),
        ("block-rpcs=guest-ping, guest-exec", "no such command: ' guest-exec'"),
        ("block-rpcs=guest-ping,", "no such command: ''"),
        ("blacklist=guest-png", "no such command"),
        ("block-rcps=guest-ping", "unknown key in the configuration: 'block-rcps'"),
    ],
)
def test_a_list_written_wrongly_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "conf"
    path.write_text(f"[general]\n{text}\n")
    with pytest.raises(ConfigurationError, match=reason):
        check_lists(read("-c", str(path)), KNOWN)


def test_a_list_may_name_what_only_another_qemu_ga_has() -> None:
    check_lists(read("-b", "guest-get-devices,guest-exec", "-a", "guest-ping"), KNOWN)


def test_lists_as_a_policy() -> None:
    def allowed(*arguments: str) -> set[str]:
        policy = make_policy(read(*arguments))
        return {name for name in KNOWN if policy.allows(name, "port")}

    assert allowed() == KNOWN
    assert allowed("-b", "guest-ping") == {"guest-exec", "guest-info"}
    assert allowed("-a", "guest-ping,guest-info", "-b", "guest-info") == {"guest-ping"}


def test_options_by_letter() -> None:
    assert list(scan(["-v", "--pidfile=x", "-"])) == [("v", None), ("f", "x")]


def test_the_manual_page_and_the_help_have_every_option() -> None:
    page = (Path(__file__).parents[2] / "packaging/man/guestmux-qga.8").read_text()
    told = set(re.findall(r"^\.It Fl ([a-zA-Z]) , -([a-z-]+)", page, re.MULTILINE))
    helped = set(re.findall(r"^  -([a-zA-Z]), --([a-z-]+)", HELP, re.MULTILINE))
    assert told == helped == {(option.letter, option.word) for option in OPTIONS} - {("b", "blacklist")}
