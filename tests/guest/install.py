"""The layer above the bare root: this tree's packages, installed as an administrator would, without any network."""

import functools
import secrets
import sys
import tempfile
from pathlib import Path

from tests.guest.cgroups import own_cgroups
from tests.guest.container import nspawn
from tests.guest.image import CONTAINER, Recipe, base_root, exclusive, recipe_digest
from tests.guest.packages import CACHE, TREE, build, built_packages, digest, forget

PORTS_FOLDER = "/srv/ports"
"""In the guest: where eventd makes its sockets."""

PORTS = {"qmp": f"{PORTS_FOLDER}/qmp.sock", "qga": f"{PORTS_FOLDER}/qga.sock"}
"""The sockets by dialect."""

CONFIG = "".join(
    f'[[port]]\ndialect = "{dialect}"\naddress = "unix-listen:{path}"\n' for dialect, path in PORTS.items()
)

# The demo's stand-in for a desktop is in no package.
INSTALL = """
set -eu
dpkg --install /packages/*.deb
install -d /usr/local/lib/guestmux-demo
cp -r /src/guestmux /usr/local/lib/guestmux-demo
"""

USE_SOCKETS = f"""
install -d -o guestmux -g guestmux -m 700 {PORTS_FOLDER}
install -d /etc/systemd/system/guestmux-eventd.service.d
printf '[Service]\nReadWritePaths={PORTS_FOLDER}\n' >/etc/systemd/system/guestmux-eventd.service.d/test-ports.conf
cat >/etc/guestmux/eventd.toml <<'END'
{CONFIG}END
"""


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
    with exclusive(CACHE / "lock"):
        packages = built_packages()
        made_of = digest([Path(__file__)], packages.name, recipe_digest(recipe), setup)
        folder = CACHE / f"layer-{recipe.name}-{made_of}"
        if not folder.exists():
            forget(f"layer-{recipe.name}-*")
            forget("unfinished-*")
            _install(base, packages, folder, setup)
    return [folder / "upper", base]


def _install(base: Path, packages: Path, folder: Path, setup: str) -> None:
    print(f"installing guestmux in {folder} (some seconds)", file=sys.stderr, flush=True)
    name = f"guestmux-{secrets.token_hex(4)}"
    unfinished = CACHE / f"unfinished-{name}"
    unfinished.mkdir()
    options = [f"--bind-ro={packages}:/packages", f"--bind-ro={TREE / 'host'}:/src", "--private-network"]
    script = ["--pipe", "--", "sh", "-c", INSTALL + setup]
    with own_cgroups(name) as cgroups, tempfile.TemporaryDirectory(prefix=f"{name}-") as mount:
        build([*nspawn(name, [base], unfinished, Path(mount), options, cgroups), *script])
    unfinished.rename(folder)


if __name__ == "__main__":
    print(installed_layers()[0])
