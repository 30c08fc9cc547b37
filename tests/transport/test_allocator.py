"""What stays of large blocks, and that small ones are not fetched anew, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from guestmux_transport.allocator import MMAP_THRESHOLD, TRIM_THRESHOLD, give_back, keep_little

PAGE = 4096
USE = """
import resource, sys, threading
from guestmux_transport.allocator import keep_little

size, rounds = map(int, sys.argv[1:])


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096


def use():
    for _ in range(rounds):
        blocks = [b"x" * size for _ in range(2)]


keep_little()
use()
before, faults = resident(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for thread in [threading.Thread(target=use) for _ in range(4)]:
    thread.start()
    thread.join()
print(resident() - before, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""

HOLES_BYTES = 64 << 20
HOLES = f"""
from guestmux_transport.allocator import give_back, keep_little


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096


keep_little()
before = resident()
blocks = [b"x" * (1 << 16 if at % 2 else 4000) for at in range({HOLES_BYTES} >> 15)]
for at in range(1, len(blocks), 2):
    blocks[at] = b""
held = resident() - before
give_back()
print(held, resident() - before)
"""


def use(size: int, rounds: int) -> tuple[int, int]:
    """Bytes left by blocks used in four threads, and the pages fetched for them."""
    command = [sys.executable, "-c", USE, str(size), str(rounds)]
    left, faults = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(left), int(faults)


def test_the_blocks_of_usual_messages_are_used_again() -> None:
    size, rounds = 1 << 20, 10
    _, faults = use(size, rounds)
    assert faults < 4 * rounds * 2 * size // PAGE / 10


@pytest.mark.parametrize("size", [2 << 20, MMAP_THRESHOLD, 48 << 20])
def test_little_stays_of_large_ones(size: int) -> None:
    left, _ = use(size, 2)
    assert left <= TRIM_THRESHOLD


def test_a_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    keep_little()
    give_back()


def test_holes_between_blocks_are_given_back() -> None:
    command = [sys.executable, "-c", HOLES]
    held, left = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert held > HOLES_BYTES // 2
    assert left < HOLES_BYTES // 4
