"""Clean Ctrl-C: the first one lets what is in flight finish, the second one kills."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

RESUME = "interrupted; what was done is stored, and the same command goes on from there"
_STOPPING = b"\nstopping: waiting for the answers in flight (Ctrl-C again to stop at once)\n"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything that was in flight had been stored. The command line exits with `exit_code`."""

    exit_code = 130


class Halt:
    """Why no further unit is to be started; `None` while the work goes on."""

    reason: BaseException | None = None


@contextmanager
def interruptible(halt: Halt) -> Iterator[None]:
    """While inside, Ctrl-C sets `halt.reason`. Outside the main thread, or where another handles it: nothing."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if isinstance(halt.reason, Interrupted):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        halt.reason = Interrupted(RESUME)
        os.write(2, _STOPPING)  # not print: a handler may interrupt a print

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
