"""The stand-in for logind as a program, without the SDK that `import guestmux` brings: two thirds of its start."""

import importlib.util
import sys
import types


def main() -> int:
    """Run the stand-in; see `python -m guestmux.demo.standin_logind --help`."""
    found = importlib.util.find_spec("guestmux")
    assert found is not None
    package = types.ModuleType("guestmux")
    package.__path__ = list(found.submodule_search_locations or ())
    sys.modules["guestmux"] = package
    from guestmux.demo.standin_logind.__main__ import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
