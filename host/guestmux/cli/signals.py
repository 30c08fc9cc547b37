"""Which signals this program may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable


def heeded(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those that whoever started us does not want ignored, as nohup(1) does; none outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
