"""One event loop for the whole process, in a thread of its own.

Clients of hosted models keep connections that belong to the loop they were opened in, so all questions go through one loop.
And a loop that may already run in the caller's thread (Inspect, a notebook) is no obstacle.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

R = TypeVar("R")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def run_blocking(main: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run `main()` in the background loop and wait for its result, from any thread."""
    loop = _background_loop()
    if _running() is loop:  # called by something that runs in the loop: waiting for the loop here would wait for ever
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(main())).result()
    future = asyncio.run_coroutine_threadsafe(main(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _background_loop() -> asyncio.AbstractEventLoop:
    """The process's loop, started when first needed; a forked child, which has no threads, gets its own."""
    with _lock:
        process = os.getpid()
        if process not in _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="stepladder", daemon=True).start()
            _loops.clear()
            _loops[process] = loop
        return _loops[process]
