"""A file that goes into a session and comes back."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

import guestmux

BYTES: Final = 64 << 20
"""Where the guest has a processor of this machine's; a slower one gets less."""

GUEST_FOLDER: Final = "/tmp"  # noqa: S108 - the name that follows cannot be guessed


@asynccontextmanager
async def original(size: int) -> AsyncIterator[Path]:
    """A file of random bytes, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="guestmux-demo-") as folder:
        path = Path(folder, "original")
        await anyio.to_thread.run_sync(lambda: path.write_bytes(secrets.token_bytes(size)))
        yield path


async def there_and_back(guest: guestmux.Guest, session: str, file: Path) -> bool:
    """Copy a file to a session and back, both checksummed; returns whether it is the same."""
    away = f"{GUEST_FOLDER}/guestmux-demo-{secrets.token_hex(8)}"
    back = file.with_name(session)
    await guest.upload(file, away, session=session)
    try:
        await guest.download(away, back, session=session)
    finally:
        await _removed(guest.call("guest-file-remove", path=away, session=session))
    return await anyio.to_thread.run_sync(lambda: back.read_bytes() == file.read_bytes())


async def _removed(call: Awaitable[Any]) -> None:
    with anyio.CancelScope(shield=True):
        await call
