import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.core import BudgetExceeded, Reply
from stepladder.execution import Budget, Progress, Spending, map_units

QUIET = Progress(quiet=True)


def run(units, work, **options):
    return map_units(units, work, **({"concurrency": 4, "progress": QUIET, "label": "x"} | options))


@given(st.lists(st.integers()), st.integers(1, 50))
def test_mapping_is_the_builtin_map_at_any_concurrency(units, concurrency):
    async def double(unit):
        await asyncio.sleep(0)
        return 2 * unit

    assert run(units, double, concurrency=concurrency) == [2 * unit for unit in units]


def test_results_keep_the_order_of_the_units_when_the_last_comes_first():
    async def slow_first(unit):
        await asyncio.sleep(0.01 * (5 - unit))
        return unit

    assert run(range(5), slow_first, concurrency=5) == list(range(5))


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_than_the_allowed_number_run_at_a_time_and_all_of_them_do(concurrency):
    running, most = 0, 0

    async def work(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1

    run(range(24), work, concurrency=concurrency)
    assert most == concurrency


def test_the_first_error_cancels_the_others_and_is_raised_as_it_is():
    cancelled = []

    async def work(unit):
        if unit == 3:
            raise ValueError("unit three")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(unit)
            raise

    with pytest.raises(ValueError, match="unit three"):
        run(range(10), work, concurrency=4)
    assert sorted(cancelled) == [0, 1, 2]


def test_a_spent_budget_keeps_what_is_finished_and_starts_nothing_more():
    spending, done = Spending(Budget(tokens=10)), []

    async def work(unit):
        await asyncio.sleep(0)
        spending.add(None, Reply(text="y", tokens_out=3), None)
        done.append(unit)

    with pytest.raises(BudgetExceeded, match="10 tokens"):
        run(range(100), work, concurrency=1, budget=spending)
    assert done == [0, 1, 2, 3]


def test_a_budget_spent_by_the_last_unit_is_no_error():
    spending = Spending(Budget(tokens=3))

    async def work(_):
        spending.add(None, Reply(text="y", tokens_out=3), None)

    run([1], work, budget=spending)


def test_mapping_works_inside_a_running_event_loop_and_inside_its_own_work():
    async def inner(unit):
        await asyncio.sleep(0)
        return unit + 1

    async def outer(unit):
        return sum(run([unit, unit], inner))

    async def main():
        return run([1, 2], outer)

    assert asyncio.run(main()) == [4, 6]


def test_mapping_works_from_other_threads_at_the_same_time():
    async def work(unit):
        await asyncio.sleep(0.001)
        return unit

    results = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: run(range(n), work)})) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: list(range(n)) for n in range(1, 6)}


def test_all_mapping_of_a_process_shares_one_event_loop():
    async def loop(_):
        return asyncio.get_running_loop()

    assert run([0], loop) == run([0], loop)
