"""The Debian packages as an administrator meets them: in a plain guest, without any network, with a user logged in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.container import booted
from tests.guest.image import base_root
from tests.guest.logins import TerminalLogin, terminal_login
from tests.guest.packages import built_packages
from tests.guest.rig import Guest
from tests.support.wire_host import WireHost

pytestmark = pytest.mark.guest

SERVICE = "guestmux-eventd.service"
AGENT = "guestmux-session.service"
SYSTEM_AGENT = "guestmux-system-agent.service"
SOCKET = "/run/guestmux/qmp.sock"

# A container has no virtio port, so eventd gets a socket besides, by what no package owns.
DROP_IN = f"""\
[Service]
ExecStart=
ExecStart=/usr/bin/guestmux-eventd --port qmp=unix-listen:{SOCKET}
"""

# What changes in any running system, and by any installation: logs, caches, dpkg's own bookkeeping.
UNWATCHED = (
    *("/proc", "/sys", "/run", "/tmp", "/dev", "/root", "/home"),
    *("/var/log", "/var/cache", "/var/lib/dpkg", "/var/lib/apt"),
)

MAX_EXPOSURE = 1.0
"""Of 10, as in test_installed; here of the very unit in the package."""


@pytest.fixture
def plain() -> Iterator[Guest]:
    """A booted Debian that never saw guestmux; the packages are in /root."""
    with booted([base_root()]) as container:
        guest = Guest(container)
        for package in built_packages().glob("*.deb"):
            shutil.copy(package, container.path("/root"))
        drop_ins = container.path(f"/etc/systemd/system/{SERVICE}.d")
        drop_ins.mkdir()
        (drop_ins / "port.conf").write_text(DROP_IN)
        yield guest


@pytest.fixture
def alice(plain: Guest) -> Iterator[TerminalLogin]:
    """Somebody who was logged in before anything was installed."""
    with terminal_login(plain, "alice") as login:
        yield login


def install(guest: Guest, *names: str) -> str:
    """Install packages with apt, as `apt install ./NAME.deb`; gives what apt and the packages said."""
    files = " ".join(f"/root/guestmux-{name}_*.deb" for name in names)
    command = f"DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {files}"
    done = guest.run(command)
    return done.stdout + done.stderr


def host(guest: Guest) -> WireHost:
    """A host on eventd's socket, through the greeting."""
    path = guest.container.path(SOCKET)
    guest.wait_for("eventd's socket", path.exists)
    return WireHost(path).greeted()


def agents(connection: WireHost) -> dict[str, list[str]]:
    """The names of the agents in each session."""
    listed = connection.ask("guest-get-sessions")["return"]
    return {session["session"]: [agent["name"] for agent in session["agents"]] for session in listed}


def files(guest: Guest) -> set[str]:
    """Every file of the guest that should be as it was."""
    prune = " -o ".join(f"-path {folder}" for folder in UNWATCHED)
    return set(guest.run(f"find / -xdev \\( {prune} \\) -prune -o -print").stdout.splitlines())


def process(guest: Guest) -> str:
    """eventd's process id."""
    return guest.systemctl("show", "--value", "--property=MainPID", SERVICE)


def renumbered(guest: Guest, version: str) -> None:
    """Make the packages in the guest's /root of another version, with all else as it was."""
    edits = rf"s/^Version: .*/Version: {version}/; s/\(guestmux-common (= \)[^)]*/\1{version}/"
    for name in ("common", "guest"):
        guest.run(
            f"cd /root; dpkg-deb --raw-extract guestmux-{name}_*.deb x; rm guestmux-{name}_*.deb;"
            f" sed -i '{edits}' x/DEBIAN/control;"
            f" dpkg-deb --root-owner-group --build x guestmux-{name}_{version}_new.deb; rm -r x"
        )


def test_install_needs_no_new_login(
    plain: Guest, alice: TerminalLogin, capsys: pytest.CaptureFixture[str]
) -> None:
    before = plain.sessions()
    said = install(plain, "common", "guest")
    assert "not found" not in said
    assert "warning" not in said.lower()
    with host(plain) as connection:
        plain.wait_for("alice's agent", lambda: agents(connection) == {alice.session: ["guestmux-session"]})
    assert plain.user_systemctl("alice", "is-active", AGENT) == "active"
    assert plain.sessions() == before, "the installation opened a session, which the host was told of"
    verdict = plain.run(["systemd-analyze", "security", "--no-pager", SERVICE]).stdout.splitlines()[-1]
    with capsys.disabled():
        print(f"\n{verdict}")
    assert float(verdict.split(": ")[1].split()[0]) <= MAX_EXPOSURE


def test_guest_has_no_host_parts(plain: Guest) -> None:
    install(plain, "common", "guest")
    assert plain.run("ls /usr/lib/guestmux").stdout.split() == sorted(
        plain.run("ls /usr/lib/guestmux | grep -vE '^(guestmux|click|rich|pygments)(-|$)'").stdout.split()
    )
    assert plain.run("test -e /usr/bin/guestmux", check=False).returncode == 1
    # Nothing that was carried along is in the way of other programs.
    assert plain.run(["python3", "-c", "import msgspec"], check=False).returncode == 1


def test_host_has_no_guest_parts(plain: Guest) -> None:
    install(plain, "common", "host")
    assert plain.run(["guestmux", "--version"]).stdout.startswith("guestmux ")
    assert plain.run("ls -d /usr/bin/guestmux-* /usr/lib/guestmux/guestmux_eventd", check=False).stdout == ""
    assert plain.run(["id", "guestmux"], check=False).returncode == 1
    library = ["env", "PYTHONPATH=/usr/lib/guestmux", "python3", "-c", "import guestmux; guestmux.connect"]
    plain.run(library, user="carol")
    for shell, folder in (
        ("bash", "bash-completion/completions/guestmux"),
        ("fish", "fish/vendor_completions.d"),
    ):
        assert plain.run(f"grep -r _GUESTMUX_COMPLETE={shell}_complete /usr/share/{folder}").stdout


def test_stop_lasts_and_a_call_starts(plain: Guest, alice: TerminalLogin) -> None:
    install(plain, "common", "guest")
    with host(plain) as connection:
        plain.wait_for("alice's agent", lambda: agents(connection) == {alice.session: ["guestmux-session"]})
    plain.systemctl("stop", SERVICE)
    # The agent is still there, and whatever it does meanwhile must not undo what the administrator did.
    plain.user_systemctl("alice", "restart", AGENT)
    agent = plain.user_systemctl("alice", "show", "--value", "--property=MainPID", AGENT)
    said = ["journalctl", "--no-pager", f"_PID={agent}"]
    plain.wait_for("the agent to miss eventd", lambda: "eventd is not running" in plain.run(said).stdout)
    assert plain.systemctl("is-active", SERVICE, check=False) == "inactive"
    manager = ("org.guestmux.Manager1", "/org/guestmux/Manager1", "org.guestmux.Manager1")
    plain.busctl("get-property", *manager, "Version", user="carol")
    assert plain.systemctl("is-active", SERVICE) == "active"


def test_upgrade_keeps_the_port_and_the_configuration(plain: Guest, alice: TerminalLogin) -> None:
    install(plain, "common", "guest")
    plain.run(
        "echo 'call-timeout = 5.0' | cat - /etc/guestmux/eventd.toml >/root/t; cp /root/t /etc/guestmux/eventd.toml"
    )
    renumbered(plain, "99.0")
    with host(plain) as connection:
        plain.wait_for("alice's agent", lambda: agents(connection) == {alice.session: ["guestmux-session"]})
        old_process, old_agent = (
            process(plain),
            plain.user_systemctl("alice", "show", "--property=MainPID", AGENT),
        )
        install(plain, "common", "guest")
        with pytest.raises(EOFError):
            connection.event("NONE")
    with host(plain) as connection:  # a greeting, so a new eventd
        plain.wait_for("alice's agent", lambda: agents(connection) == {alice.session: ["guestmux-session"]})
    assert process(plain) != old_process
    assert plain.user_systemctl("alice", "show", "--property=MainPID", AGENT) != old_agent
    assert plain.run("head -1 /etc/guestmux/eventd.toml").stdout == "call-timeout = 5.0\n"
    assert plain.run(["dpkg-query", "-f", "${Version}", "-W", "guestmux-guest"]).stdout == "99.0"


def test_remove_keeps_what_is_the_administrators(plain: Guest, alice: TerminalLogin) -> None:
    install(plain, "common", "guest")
    plain.run(["apt-get", "remove", "--yes", "guestmux-guest", "guestmux-common"])
    assert plain.run("ps -ef | grep '[/]usr/bin/guestmux'", check=False).stdout == ""
    assert plain.run("ls -d /usr/lib/guestmux /run/guestmux", check=False).stdout == ""
    plain.run("test -e /etc/guestmux/eventd.toml && test -d /var/lib/guestmux && id guestmux")
    install(plain, "common", "guest")
    with host(plain) as connection:
        plain.wait_for("alice's agent", lambda: agents(connection) == {alice.session: ["guestmux-session"]})


@pytest.mark.usefixtures("alice")
def test_purge_leaves_nothing(plain: Guest) -> None:
    before = files(plain)
    install(plain, "common", "guest", "host", "system-agent")
    host(plain).leave()
    assert plain.systemctl("is-active", SYSTEM_AGENT) == "active"
    plain.run("touch /var/lib/guestmux/state", user="guestmux")
    plain.run("mkdir -p /var/lib/guestmux-agents/pushed/1.0")
    plain.systemctl("enable", "guestmux-pushed-agent@pushed.service")
    names = ("guest", "host", "common", "system-agent")
    said = plain.run(["apt-get", "purge", "--yes", *(f"guestmux-{name}" for name in names)])
    assert "not empty" not in said.stdout + said.stderr
    assert files(plain) - before == set()
    assert plain.run(["id", "guestmux"], check=False).returncode == 1
    assert plain.run("ps -ef | grep '[/]usr/bin/guestmux'", check=False).stdout == ""
    assert plain.systemctl("list-unit-files", "--no-legend", "guestmux*", check=False) == ""
    assert plain.systemctl("list-units", "--failed", "--no-legend") == ""
    assert (
        plain.run("find /run /etc /var -nouser -o -name '*guestmux*'").stdout
        == f"/etc/systemd/system/{SERVICE}.d\n"
    )


def test_autostart_defers_to_systemd(plain: Guest, alice: TerminalLogin) -> None:
    install(plain, "common", "guest")
    autostart = "/usr/libexec/guestmux/autostart"
    assert alice.run([autostart, "--version"]).stdout == ""
    without = alice.run(["env", "XDG_RUNTIME_DIR=/nowhere", autostart, "--version"]).stdout
    assert without.startswith("guestmux-session ")


def test_lintian_is_content() -> None:
    packages = sorted(map(str, built_packages().glob("*.deb")))
    strict = ["--allow-root", "--display-info", "--fail-on=error,warning,info", "--tag-display-limit=0"]
    done = subprocess.run(["lintian", *strict, *packages], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_build_is_reproducible(tmp_path: Path) -> None:
    build = Path(__file__).parents[2] / "packaging" / "build-deb"
    packages = list(built_packages().glob("*.deb"))
    # When the first build says it was, which is in the header of an ar file's first member.
    epoch = packages[0].read_bytes()[24:36].decode().strip()
    elsewhere = {"SOURCE_DATE_EPOCH": epoch, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHON": sys.executable}
    command = ["sh", "-c", 'umask 077; exec "$@"', "sh", str(build), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | elsewhere)
    for package in packages:
        assert (tmp_path / package.name).read_bytes() == package.read_bytes(), package.name
