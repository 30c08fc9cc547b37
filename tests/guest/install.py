"""The layer above the bare root: guestmux as this tree has it, installed as an administrator would."""

import functools
import hashlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.guest.cgroups import own_cgroups
from tests.guest.container import nspawn
from tests.guest.image import CONTAINER, Recipe, base_root, exclusive, recipe_digest

TREE = Path(__file__).parents[2]
CACHE = TREE / ".cache" / "guest"
PRODUCT = ("protocol", "eventd", "session", "host", "packaging")
DESCRIPTION = ("pyproject.toml", "README.md", "LICENSE")

EXTRAS = "guest,fast,host"

GUEST_PYTHON = "3.11"
"""Debian 12's, whatever Python this machine runs."""

PORTS_FOLDER = "/srv/ports"
"""In the guest: where eventd makes its sockets."""

PORTS = {"qmp": f"{PORTS_FOLDER}/qmp.sock", "qga": f"{PORTS_FOLDER}/qga.sock"}
"""The sockets by dialect."""

IN_USE_SECONDS = 3600
"""Another run may stand on a layer that is no older."""

CONFIG = "".join(
    f'[[port]]\ndialect = "{dialect}"\naddress = "unix-listen:{path}"\n' for dialect, path in PORTS.items()
)

INSTALL = """
set -eu
/src/packaging/install-guest.sh --wheels /wheels "$(echo /wheels/guestmux-*.whl)"
"""

USE_SOCKETS = f"""
install -d -o guestmux -g guestmux -m 700 {PORTS_FOLDER}
install -d /etc/systemd/system/guestmux-eventd.service.d
printf '[Service]\nReadWritePaths={PORTS_FOLDER}\n' >/etc/systemd/system/guestmux-eventd.service.d/test-ports.conf
cat >/etc/guestmux/eventd.toml <<'END'
{CONFIG}END
"""


class InstallError(Exception):
    """guestmux could not be installed. The text is the installer's own."""


@functools.cache
def installed_layers(recipe: Recipe = CONTAINER, setup: str = USE_SOCKETS) -> list[Path]:
    """Roots for `booted`, the uppermost first: with guestmux installed, made now if this tree's is not there.

    The tree as it is at the first call: an edit during a run changes nothing in it.

    Args:
        recipe: of the root below.
        setup: what a shell does in it after the installation.

    Raises:
        InstallError: it does not install.
    """
    base = base_root(recipe)
    folder = CACHE / f"layer-{recipe.name}-{_digest(_product_files(), recipe_digest(recipe), setup)}"
    with exclusive(CACHE / "lock"):
        if not folder.exists():
            _forget(f"layer-{recipe.name}-*")
            _forget("unfinished-*")
            _install(base, folder, setup)
    return [folder / "upper", base]


def _product_files() -> Iterable[Path]:
    for name in PRODUCT:
        yield from (
            path for path in sorted((TREE / name).rglob("*")) if path.is_file() and path.suffix != ".pyc"
        )
    yield from (TREE / name for name in DESCRIPTION)
    yield Path(__file__)


def _digest(files: Iterable[Path], *more: str) -> str:
    digest = hashlib.sha256(repr(more).encode())
    for path in files:
        digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _forget(pattern: str) -> None:
    """Remove what older trees left."""
    for path in CACHE.glob(pattern):
        if time.time() - path.stat().st_mtime > IN_USE_SECONDS:
            shutil.rmtree(path)


def _dependencies() -> Path:
    """A folder with the wheels that guestmux needs, for the guest's Python; fetched when pyproject.toml changes."""
    folder = CACHE / f"wheels-{_digest([TREE / 'pyproject.toml'], EXTRAS, GUEST_PYTHON)}"
    if not folder.exists():
        _forget("wheels-*")
        unfinished = folder.with_name(f"unfinished-{secrets.token_hex(4)}")
        options = ["--only-binary=:all:", f"--python-version={GUEST_PYTHON}", f"--dest={unfinished}"]
        _pip("download", *options, f"{_wheel(unfinished)}[{EXTRAS}]")
        unfinished.rename(folder)
    return folder


def _wheel(folder: Path) -> Path:
    """Build this tree's wheel into a folder."""
    for old in folder.glob("guestmux-*.whl"):
        old.unlink()
    _pip("wheel", "--no-deps", f"--wheel-dir={folder}", str(TREE))
    return next(folder.glob("guestmux-*.whl"))


def _pip(command: str, *arguments: str) -> None:
    _run(
        [
            sys.executable,
            "-m",
            "pip",
            command,
            "--quiet",
            "--quiet",
            "--disable-pip-version-check",
            *arguments,
        ]
    )


def _install(base: Path, folder: Path, setup: str) -> None:
    print(f"installing guestmux in {folder} (some seconds)", file=sys.stderr, flush=True)
    wheels = _dependencies()
    _wheel(wheels)
    name = f"guestmux-{secrets.token_hex(4)}"
    unfinished = CACHE / f"unfinished-{name}"
    unfinished.mkdir()
    options = [
        f"--bind-ro={TREE / 'packaging'}:/src/packaging",
        f"--bind-ro={wheels}:/wheels",
        "--private-network",
    ]
    script = ["--pipe", "--", "sh", "-c", INSTALL + setup]
    with own_cgroups(name) as cgroups, tempfile.TemporaryDirectory(prefix=f"{name}-") as mount:
        _run([*nspawn(name, [base], unfinished, Path(mount), options, cgroups), *script])
    unfinished.rename(folder)


def _run(command: list[str]) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise InstallError(f"{command}: status {result.returncode}\n{result.stdout}{result.stderr}")


if __name__ == "__main__":
    print(installed_layers()[0])
