"""Names of runs differ even where the machine draws the same random numbers again."""

import uuid

import pytest

from guestmux_eventd.epochs import new_epoch


def test_the_same_random_numbers_give_another_epoch_later(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = uuid.uuid4()
    monkeypatch.setattr(uuid, "uuid4", lambda: drawn)
    epochs = {new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(len(epoch) == 32 for epoch in epochs)
