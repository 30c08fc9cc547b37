"""What a daemon does not load, and that whoever wants it still gets it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.dbus_daemon import PrivateBus, private_bus

LITTLE = "import sys\nfrom guestmux_transport.lean_imports import import_little\nimport_little()\n"
HEAVY = (
    "sorted({'_ssl', '_hashlib', '_lzma', '_bz2', 'xml', 'dbus_fast.service', 'dbus_next.service'}"
    " & {*sys.modules})"
)


def printed(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("program", ["guestmux_eventd", "guestmux_session", "guestmux_qga"])
def test_our_daemons_import_little(program: str) -> None:
    assert printed(f"{LITTLE}import {program}.__main__\nprint({HEAVY})") == "[]"


def test_the_bus_works_with_a_library_that_is_not_whole() -> None:
    with private_bus() as bus:
        assert printed(LITTLE + asking(bus) + f"print({HEAVY})") == "[]"


def asking(bus: PrivateBus) -> str:
    return f"""
import anyio
from guestmux_transport.bus import connect_bus
async def main():
    async with connect_bus({bus.address!r}) as bus:
        await bus.request_name("org.example.lean")
anyio.run(main)
"""


def test_who_wants_tls_gets_it() -> None:
    program = "import asyncio, ssl\nssl.create_default_context()\nprint('_ssl' in sys.modules)"
    assert printed(LITTLE + program) == "True"


def test_a_sessions_agent_has_nothing_of_the_machines() -> None:
    program = "import guestmux_session.__main__\nprint(*(name for name in sys.modules if 'system_' in name))"
    assert printed(LITTLE + program) == "guestmux_session.system_path"


def test_who_wants_archives_gets_them() -> None:
    program = "import bz2, lzma, shutil\nprint(bz2.compress(b''), bool(shutil.which('sh')))"
    assert printed(LITTLE + program).endswith("True")


def test_what_is_loaded_already_stays_as_it_is() -> None:
    first = "import asyncio, ssl, dbus_next\n"
    assert (
        printed(f"{first}{LITTLE}print(asyncio.base_events.ssl is ssl, dbus_next.Message.__name__)")
        == "True Message"
    )
