"""What a daemon does not load, and that whoever wants it still gets it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PUT_OFF = "import sys\nfrom guestmux_transport.late_tls import put_off_tls\nput_off_tls()\n"


def printed(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PUT_OFF + program], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("program", ["guestmux_eventd", "guestmux_session"])
def test_our_daemons_run_without_openssl(program: str) -> None:
    loaded = printed(f"import {program}.__main__\nprint('_ssl' in sys.modules, '_hashlib' in sys.modules)")
    assert loaded == "False False"


def test_who_wants_tls_gets_it() -> None:
    assert "_ssl" in printed("import asyncio, ssl\nssl.create_default_context()\nprint([*sys.modules])")


def test_what_is_loaded_already_stays_as_it_is() -> None:
    assert printed("import ssl\nput_off_tls()\nprint(sys.modules['ssl'] is ssl)") == "True"
    with_tls = (
        "import sys, asyncio, ssl\nfrom guestmux_transport.late_tls import put_off_tls\nput_off_tls()\n"
    )
    kept = subprocess.run(
        [sys.executable, "-c", f"{with_tls}print(asyncio.base_events.ssl is ssl)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert kept.stdout.strip() == "True"
