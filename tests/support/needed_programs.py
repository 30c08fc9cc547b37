"""Programs that tests need. Where one is missing its tests are skipped, but not in CI, which installs them all."""

import os
import shutil

import pytest


def need_programs(*programs: str) -> None:
    """Skip the test where a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing)} (make test-desktop)")
    assert not missing, f"not installed: {missing}"
