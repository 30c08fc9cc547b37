"""Names, system, clock and load, from files that a test writes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from guestmux_protocol.guest.facts import (
    GuestGetHostName,
    GuestGetLoad,
    GuestGetOsinfo,
    GuestGetTimezone,
    GuestLoadAverage,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs.facts import Facts, unquoted

OS_RELEASE = """\
# A comment
NAME="Debian GNU/Linux"
ID=debian
VERSION_ID='12'
PRETTY_NAME="The \\"big\\" one \\$1 \\x"

BROKEN
EMPTY=
VARIANT=
HOME_URL=https://example.org
"""


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("debian", "debian"),
        ("debian # said", "debian"),
        ("a;b", "a"),
        ('"a b"', "a b"),
        ('"a" b', "a"),
        ('"not closed', "not closed"),
        ("'a \\$b'", "a \\$b"),
        (r'"\$ \" \\ \` \x \'"', "$ \" \\ ` \\x '"),
        ("", ""),
        ('"', ""),
    ],
)
def test_a_value_is_read_as_a_shell_would(value: str, means: str) -> None:
    assert unquoted(value) == means


def test_the_distribution_is_told_as_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(OS_RELEASE)
    files = [str(tmp_path / "missing"), str(tmp_path / "os-release")]
    told = Facts(environment={}, os_release=files).osinfo(GuestGetOsinfo())
    assert (told.name, told.id, told.version_id) == ("Debian GNU/Linux", "debian", "12")
    assert told.pretty_name == 'The "big" one $1 \\x'
    assert told.variant == ""
    assert not told.version
    assert told.kernel_release


def test_the_variable_names_another_file(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("ID=one\n")
    (tmp_path / "named").write_text("ID=two\n")
    facts = Facts(environment={"QGA_OS_RELEASE": str(tmp_path / "named")}, os_release=[str(tmp_path / "etc")])
    assert facts.osinfo(GuestGetOsinfo()).id == "two"


def test_without_the_file_there_is_the_kernel_alone(tmp_path: Path) -> None:
    facts = Facts(environment={"QGA_OS_RELEASE": str(tmp_path)})
    told = facts.osinfo(GuestGetOsinfo())
    assert told.machine
    assert not told.id


def test_the_host_name_is_the_kernels() -> None:
    assert Facts().host_name(GuestGetHostName()).host_name == socket.gethostname()


def test_the_time_zone_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts()
    with monkeypatch.context() as environment:
        for zone, offset in (("AAA-2", 7200), ("BBB+5:30", -19800)):
            environment.setenv("TZ", zone)
            told = facts.timezone(GuestGetTimezone())
            assert (told.zone, told.offset) == (zone[:3], offset)
    facts.timezone(GuestGetTimezone())


def test_the_load(tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text("0.50 1.25 12.00 2/345 6789\n")
    assert Facts(tmp_path).load(GuestGetLoad()) == GuestLoadAverage(load1m=0.5, load5m=1.25, load15m=12.0)


@pytest.mark.parametrize("text", [None, "", "0.5", "a b c"])
def test_no_load(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "loadavg").write_text(text)
    with pytest.raises(CommandError, match=r"^cannot query load average: "):
        Facts(tmp_path).load(GuestGetLoad())
