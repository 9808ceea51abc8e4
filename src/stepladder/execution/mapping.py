"""Map work over units with bounded concurrency, progress, a budget, and clean cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from stepladder.execution.background import run_blocking
from stepladder.execution.budget import Spending
from stepladder.execution.interrupts import Halt, interruptible
from stepladder.execution.progress import Progress

T = TypeVar("T")
R = TypeVar("R")


def map_units(
    units: Sequence[T],
    work: Callable[[T], Awaitable[R]],
    *,
    concurrency: int,
    progress: Progress,
    label: str,
    budget: Spending | None = None,
    size: Callable[[T], int] = lambda _: 1,
    done: int = 0,
) -> list[R]:
    """`work` of each unit, in the order of `units`; at most `concurrency` at a time.

    Progress counts `size(unit)` for each, `done` before the first. Ctrl-C and a spent budget start no further unit, wait
    for those in flight, and then raise `Interrupted` or `BudgetExceeded`; an error of `work` cancels the others and
    is raised.
    """
    if not units:
        return []
    halt = Halt()
    with progress.task(label, done + sum(map(size, units)), done) as advance, interruptible(halt):

        async def counted(unit: T) -> R:
            result = await work(unit)
            advance(size(unit))
            return result

        results = run_blocking(lambda: map_async(units, counted, concurrency=concurrency, halt=halt, budget=budget))
    if halt.reason is not None:
        raise halt.reason
    return results


async def map_async(
    units: Sequence[T],
    work: Callable[[T], Awaitable[R]],
    *,
    concurrency: int,
    halt: Halt | None = None,
    budget: Spending | None = None,
) -> list[R]:
    """What `map_units` does, for callers that run in a loop already; after a `halt` some results are `None`."""
    halt = halt or Halt()
    results: list[R | None] = [None] * len(units)
    queue = iter(enumerate(units))

    async def worker() -> None:
        for index, unit in queue:
            if halt.reason is None and budget is not None:
                halt.reason = budget.exceeded()
            if halt.reason is not None:
                return
            results[index] = await work(unit)

    await _all_or_first_error([asyncio.create_task(worker()) for _ in range(min(concurrency, len(units)))])
    return cast(list[R], results)


async def _all_or_first_error(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all; if one fails, or we are cancelled, cancel the others and raise."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION) if tasks else (set(), set())
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
