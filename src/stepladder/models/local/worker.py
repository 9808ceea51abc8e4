"""One thread that does all of a model's work, and a desk where single requests wait until they make a batch.

Nothing polls. Requests of one tick of the event loop are handed over together at its end; those that come while the thread
is busy wait on the desk, and the next turn of the thread takes all of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
J = TypeVar("J")
R = TypeVar("R")


class Worker:
    """Runs functions one after the other in a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="stepladder-model")

    def run(self, function: Callable[[], T]) -> T:
        """Run it there and wait."""
        return self._pool.submit(function).result()

    async def run_async(self, function: Callable[[], T]) -> T:
        """Run it there without blocking the event loop."""
        return await asyncio.wrap_future(self._pool.submit(function))

    def submit(self, function: Callable[[], object]) -> None:
        """Run it there some time."""
        self._pool.submit(function)


class Desk(Generic[J, R]):
    """Joins jobs into batches of at most `size`; jobs with different `setting` never share one.

    `work(setting, jobs)` answers a batch, in order. An exception of `work` goes to every job of its batch.
    """

    def __init__(self, worker: Worker, work: Callable[[Hashable, Sequence[J]], Sequence[R]], size: int) -> None:
        self._worker, self._work, self._size = worker, work, size
        self._lock = threading.Lock()
        self._waiting: list[tuple[Hashable, J, Future[R]]] = []
        self._called: set[asyncio.AbstractEventLoop] = set()

    async def ask(self, setting: Hashable, job: J) -> R:
        """Leave a job on the desk and wait for its answer."""
        future: Future[R] = Future()
        loop = asyncio.get_running_loop()
        with self._lock:
            self._waiting.append((setting, job, future))
            first = loop not in self._called
            self._called.add(loop)
        if first:
            loop.call_soon(self._hand_over, loop)
        return await asyncio.wrap_future(future)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._called.discard(loop)
        self._worker.submit(self._serve)

    def _serve(self) -> None:
        while batch := self._take():
            setting = batch[0][0]
            try:
                answers = self._work(setting, [job for _, job, _ in batch])
            except BaseException as error:
                for _, _, future in batch:
                    future.set_exception(error)
                continue
            for (_, _, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)

    def _take(self) -> list[tuple[Hashable, J, Future[R]]]:
        """The oldest job and all that may share its batch; cancelled ones are dropped."""
        with self._lock:
            alike = [entry for entry in self._waiting if entry[0] == self._waiting[0][0]][: self._size]
            taken = {id(entry) for entry in alike}
            self._waiting = [entry for entry in self._waiting if id(entry) not in taken]
        live = [entry for entry in alike if entry[2].set_running_or_notify_cancel()]
        return live if live or not alike else self._take()
