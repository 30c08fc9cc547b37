"""The Debian packages under test, built from this tree as `make deb` builds them."""

import functools
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

TREE = Path(__file__).parents[2]
CACHE = TREE / ".cache" / "guest"

SOURCES = (
    "protocol",
    "eventd",
    "session",
    "host",
    "packaging",
    "pyproject.toml",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
)

IN_USE_SECONDS = 3600
"""Another run may stand on what is no older."""


class InstallError(Exception):
    """The packages could not be built or installed. The text is the build's own."""


@functools.cache
def built_packages() -> Path:
    """A folder with the packages of this tree as it is at the first call, built if they are not there.

    Raises:
        InstallError: they do not build.
    """
    folder = CACHE / f"debs-{digest(source_files())}"
    if not folder.exists():
        print(f"building the packages in {folder} (some seconds)", file=sys.stderr, flush=True)
        forget("debs-*")
        unfinished = CACHE / f"unfinished-{secrets.token_hex(4)}"
        build([str(TREE / "packaging" / "build-deb"), str(unfinished)])
        unfinished.rename(folder)
    return folder


def source_files() -> Iterable[Path]:
    """Every file that the packages are made of."""
    for name in SOURCES:
        paths = [TREE / name, *sorted((TREE / name).rglob("*"))]
        yield from (path for path in paths if path.is_file() and path.suffix != ".pyc")


def digest(files: Iterable[Path], *more: str) -> str:
    """What names something made of files."""
    total = sha256(repr(more).encode())
    for path in files:
        total.update(str(path).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def forget(pattern: str) -> None:
    """Remove from the cache what older trees left."""
    for path in CACHE.glob(pattern):
        if time.time() - path.stat().st_mtime > IN_USE_SECONDS:
            shutil.rmtree(path)


def build(command: list[str]) -> None:
    """Run a step to its end.

    Raises:
        InstallError: it failed.
    """
    environment = os.environ | {"PYTHON": sys.executable}
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )
    if result.returncode:
        raise InstallError(f"{command}: status {result.returncode}\n{result.stdout}{result.stderr}")


if __name__ == "__main__":
    print(built_packages())
