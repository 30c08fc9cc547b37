"""Names of runs differ even where the machine draws the same random numbers again."""

import subprocess
import sys
import uuid

import pytest

from guestmux_eventd.epochs import new_epoch


def test_the_same_random_numbers_give_another_epoch_later(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = uuid.uuid4()
    monkeypatch.setattr(uuid, "uuid4", lambda: drawn)
    epochs = {new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(len(epoch) == 32 for epoch in epochs)


def test_naming_a_run_loads_no_openssl() -> None:
    program = """
import sys
from guestmux_transport.lean_imports import import_little
import_little()
from guestmux_eventd.epochs import new_epoch
new_epoch()
sys.exit('_hashlib' in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
