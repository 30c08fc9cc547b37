"""Leaves out of a daemon's memory what it never uses: TLS, which asyncio and anyio import in case somebody does."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, cast


def put_off_tls() -> None:
    """Have asyncio go without TLS, and load OpenSSL only for who really asks for it; saves 4 of 30 MiB.

    To be called before asyncio is imported, by programs of ours that open no TLS connections; not by the library, whose
    users may.
    """
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    # What Python documents for a module that is not to be imported; asyncio then does without, as on a Python that was
    # built without OpenSSL.
    cast("dict[str, Any]", sys.modules)["ssl"] = None
    importlib.import_module("asyncio")
    del sys.modules["ssl"]
    _import_late("ssl")


def _import_late(name: str) -> None:
    """Put a module where imports find it; it is run when something of it is first looked at."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
