"""Leaves out of a daemon's memory what its libraries import and it never uses: 9.5 of 34 MiB.

To be called before anything else is imported, by programs of ours alone: our library's users may want these things.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, cast

_DBUS_LIBRARIES = ("dbus_fast", "dbus_next")

_COMPRESSORS = ("bz2", "lzma")


class _Late(ModuleType):
    """Stands for a module that is imported when something of it is first used.

    importlib.util.LazyLoader is no help: its module is loaded by the second `import` of it.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what imports look at
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_little() -> None:
    """Leave out what of asyncio, shutil and a D-Bus library is not for a daemon.

    asyncio goes without TLS, shutil, which finds programs, without archives, and a D-Bus library gives its codec
    without its clients and services.
    """
    _put_off_tls()
    _leave_out_archives()
    for name in _DBUS_LIBRARIES:
        _leave_out_package(name)


def _put_off_tls() -> None:
    """OpenSSL is loaded for who really asks for it."""
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    # What Python documents for a module that is not to be imported; asyncio then does without, as on a Python that was
    # built without OpenSSL.
    cast("dict[str, Any]", sys.modules)["ssl"] = None
    importlib.import_module("asyncio")
    del sys.modules["ssl"]
    sys.modules["ssl"] = ssl = _Late("ssl")
    # anyio.streams.tls imports this name, for annotations.
    ssl.__dict__["SSLContext"] = type("SSLContext", (), {})


def _leave_out_archives() -> None:
    """Who asks for them gets them; shutil then says that it knows no archives of these kinds."""
    if "shutil" in sys.modules:
        return
    wanted = [name for name in _COMPRESSORS if name not in sys.modules]
    for name in wanted:
        cast("dict[str, Any]", sys.modules)[name] = None
    importlib.import_module("shutil")
    for name in wanted:
        del sys.modules[name]


def _leave_out_package(name: str) -> None:
    """Have modules of a package found without running what the package itself imports: all of them."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is not None:
        sys.modules[name] = importlib.util.module_from_spec(spec)
