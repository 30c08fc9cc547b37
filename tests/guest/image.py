"""A guest's Debian 12 root, made by mmdebstrap once per recipe and kept in the user's cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RELEASE = "bookworm"

PACKAGES = (
    "dbus",
    "dbus-user-session",  # a session bus in user@.service, as on every Debian desktop
    "libpam-systemd",
    "login",
    "openssh-client",  # signatures of pushed agents
    "passwd",
    "polkitd",  # without it logind refuses every unprivileged inhibitor
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
    "util-linux",
)

DESKTOPS = (
    "foot",
    "libglib2.0-bin",  # starts applications
    "openbox",
    "sway",
    "swayidle",
    "swaylock",
    "wl-clipboard",
    "xclip",
    "xss-lock",
    "xterm",
    "xvfb",
)
"""A desktop of either kind, which needs no screen; a session has one when it is started there."""

UNWANTED = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"),
    # What draws in three dimensions, and PostScript: a screen that is not there has no use for it.
    *("/usr/lib/*/libLLVM*", "/usr/lib/*/dri/*", "/usr/share/poppler/*", "/usr/share/ghostscript/*"),
)

USERS = {"alice": 1000, "bob": 1001, "carol": 1002}
"""Who can log in, by uid. `carol` is by custom the one who never does."""

PASSWORD = "guest"
"""Everybody's: the guest lives for seconds and has no network."""

# mmdebstrap runs this with the root's folder as $1. The hostname must be the container's own, and what was copied in
# from this machine's apt must not stay.
CUSTOMIZE = "".join(
    f'useradd --root "$1" --create-home --shell /bin/bash --uid {uid} {name}; '
    f'echo {name}:{PASSWORD} | chpasswd --root "$1"; '
    for name, uid in USERS.items()
) + (
    'cd "$1/etc"; touch default/locale; '
    "rm -rf hostname apt/sources.list apt/apt.conf.d/99mmdebstrap apt/auth.conf.d apt/keyrings"
)


@dataclass(frozen=True)
class Recipe:
    """What a root is made of.

    Attributes:
        name: of the kind of guest, for file names.
        packages: of Debian, with what they depend on.
        hooks: further options of mmdebstrap.
    """

    name: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()


CONTAINER = Recipe("guest", (*PACKAGES, *DESKTOPS))

SKIPPED_APT_OPTIONS = re.compile(r"Acquire::(cdrom|IndexTargets|Languages|Changelogs)\b")


class ImageError(Exception):
    """The root could not be made. The text says what is missing."""


def base_root(recipe: Recipe = CONTAINER) -> Path:
    """The root's folder, made now if this recipe's is not in the cache. Nobody may write to it.

    Raises:
        ImageError: this machine cannot make one.
    """
    folder = cache_folder() / f"{recipe.name}-{recipe_digest(recipe)}"
    with exclusive(folder.with_suffix(".lock")):
        if not folder.exists():
            _make(recipe, folder)
    return folder


def cache_folder() -> Path:
    """Where roots are kept between clones."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "guestmux"


def recipe_digest(recipe: Recipe = CONTAINER) -> str:
    """What names a root: changes with anything that is said in this file or the recipe, and with the processor."""
    more = repr((recipe, os.uname().machine)).encode()
    return hashlib.sha256(Path(__file__).read_bytes() + more).hexdigest()[:16]


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two runs do not make the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def apt_sources() -> str:
    """Lines for sources.list: this machine's own sources of the release, wherever they are configured.

    Raises:
        ImageError: apt knows none.
    """
    sources = _release_sources()
    if not sources:  # a new machine has not read its sources yet
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        sources = _release_sources()
    if not sources:
        raise ImageError(
            f"apt on this machine has no source of Debian {RELEASE}: add one to its sources.list"
        )
    return sources


def _release_sources() -> str:
    line = "$(ORIGIN) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", line, "Created-By: Packages"]
    targets = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    wanted = f"Debian {RELEASE}"
    return "".join(sorted({f"{line.split(' ', 2)[2]}\n" for line in targets if line.startswith(wanted)}))


def _apt_options() -> list[str]:
    """How this machine reaches its sources (proxies, dates, certificates), for the apt inside the root."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    lines = [line for line in dump.splitlines() if line.startswith("Acquire::") and not line.endswith(' "";')]
    return [f"--aptopt={line}" for line in lines if not SKIPPED_APT_OPTIONS.match(line)]


def _apt_files() -> list[str]:
    """Hooks that hand passwords and extra keys of this machine's sources to the apt inside the root."""
    folders = [Path("/etc/apt/auth.conf.d"), Path("/etc/apt/keyrings")]
    present = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
    return [f"--setup-hook=copy-in {folder} /etc/apt" for folder in present]


def _make(recipe: Recipe, folder: Path) -> None:
    print(f"making the root of a {recipe.name} in {folder} (about a minute)", file=sys.stderr, flush=True)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED),
        *_apt_options(),
        *_apt_files(),
        *recipe.hooks,
        f"--customize-hook={CUSTOMIZE}",
        RELEASE,
        str(unfinished),
        "-",
    ]
    result = subprocess.run(command, input=apt_sources(), text=True, stdout=sys.stderr, check=False)
    if result.returncode:
        raise ImageError(f"mmdebstrap failed (status {result.returncode}); its own words are above")
    unfinished.rename(folder)


if __name__ == "__main__":
    print(base_root())
