"""The Inspect provider: evals over a tiny model, batches that form by themselves, options refused, not ignored."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig, Model, get_model, modelapi
from inspect_ai.solver import Solver, solver
from inspect_ai.tool import ToolInfo
from tiny_models import sentences

from stepladder.core.errors import ModelUnavailable, UnknownName
from stepladder.models.inspect_provider import StepladderAPI
from stepladder.models.local.worker import Desk, Worker


@modelapi(name="ladder")
def ladder() -> type[StepladderAPI]:
    """Registered here under a name of its own: the room is tested without the rooms above it."""
    return StepladderAPI


def provider(name: str) -> Model:
    return get_model(f"ladder/{name}", memoize=False)


def ask_api(name: str, text: str = "the word", **config: Any) -> Any:
    return asyncio.run(provider(name).generate(text, config=GenerateConfig(**config), cache=False))


@solver
def talk(turns: int) -> Solver:
    async def solve(state: Any, generate: Any) -> Any:
        for turn in range(turns):
            state = await generate(state)
            state.messages.append(ChatMessageUser(content=f"what is word {turn}"))
        return state

    return solve


def test_an_eval_of_many_samples_and_turns_succeeds(folders: dict[str, Path], tmp_path: Path) -> None:
    samples = [Sample(input=text) for text in sentences(12)]
    config = GenerateConfig(max_tokens=8, logprobs=True)
    task = Task(dataset=samples, solver=talk(3), scorer=None, config=config)
    log = eval(task, model=provider(f"hf/{folders['llama']}"), display="none", log_dir=str(tmp_path))[0]
    assert log.status == "success"
    assert len(log.samples or []) == 12
    output = (log.samples or [])[0].output
    assert output.usage is not None
    assert output.stop_reason in ("stop", "max_tokens")
    assert len(output.choices[0].logprobs.content) == output.usage.output_tokens  # type: ignore[union-attr]


def test_the_provider_says_what_the_model_says(folders: dict[str, Path]) -> None:
    from stepladder.core.values import Message, Request
    from stepladder.models import open_model

    name = f"hf/{folders['llama']}"
    request = Request(id="x", messages=(Message(role="user", content="the word"),), max_tokens=9, temperature=0.8, seed=4)
    expected = asyncio.run(open_model(name).reply_many([request]))[0]
    output = ask_api(name, max_tokens=9, temperature=0.8, seed=4)
    assert (output.completion, output.stop_reason) == (expected.text, expected.stop_reason)


def test_a_logit_bias_is_obeyed(folders: dict[str, Path]) -> None:
    output = ask_api(f"hf/{folders['llama']}", max_tokens=3, logit_bias={10: 100})
    assert len(set(output.completion.split())) == 1


def test_a_stop_sequence_ends_the_answer() -> None:
    output = ask_api("scripted/comply", stop_seqs=[" Step 2"])
    assert output.completion.endswith("prepare what you need.")
    assert output.stop_reason == "stop"


def test_building_a_provider_loads_nothing() -> None:
    assert StepladderAPI("hf/nowhere", api_key="dummy").connection_key() == "hf/nowhere"


def test_tokens_are_counted_without_a_download(folders: dict[str, Path]) -> None:
    assert asyncio.run(StepladderAPI(f"hf/{folders['llama']}").count_text_tokens("the word")) == 2


@pytest.mark.parametrize("option", [{"top_p": 0.5}, {"top_k": 3}, {"frequency_penalty": 1.0}, {"num_choices": 2}])
def test_options_it_does_not_have_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(option))):
        ask_api("scripted/comply", **option)


def test_tools_and_arguments_it_does_not_have_are_refused() -> None:
    tool = ToolInfo(name="t", description="t")
    with pytest.raises(ModelUnavailable, match="tools"):
        asyncio.run(StepladderAPI("scripted/comply").generate([], [tool], "auto", GenerateConfig()))
    with pytest.raises(UnknownName, match="quantise"):
        StepladderAPI("smollm2", quantise=True)


def test_an_error_reply_fails_the_sample_with_its_reason() -> None:
    with pytest.raises(Exception, match="connection refused"):
        ask_api("scripted/down")


def _desk(size: int = 8) -> tuple[Desk[int, int], list[list[int]], threading.Event]:
    batches: list[list[int]] = []
    free = threading.Event()

    def work(setting: object, jobs: Sequence[int]) -> list[int]:
        batches.append(list(jobs))
        free.wait(5)
        if -1 in jobs:
            raise ValueError("bad job")
        return [job * 10 for job in jobs]

    return Desk(Worker(), work, size), batches, free


def test_requests_of_one_tick_make_one_batch() -> None:
    desk, batches, free = _desk()
    free.set()

    async def run() -> list[int]:
        return list(await asyncio.gather(*(desk.ask("s", i) for i in range(5))))

    assert asyncio.run(run()) == [0, 10, 20, 30, 40]
    assert batches == [[0, 1, 2, 3, 4]]


def test_requests_that_come_while_the_thread_is_busy_are_joined_up_to_the_size() -> None:
    desk, batches, free = _desk(size=3)

    async def run() -> list[int]:
        first = asyncio.create_task(desk.ask("s", 0))
        while not batches:
            await asyncio.sleep(0.001)
        late = []
        for i in range(1, 6):
            late.append(asyncio.create_task(desk.ask("s", i)))
            await asyncio.sleep(0)
        free.set()
        return list(await asyncio.gather(first, *late))

    assert asyncio.run(run()) == [0, 10, 20, 30, 40, 50]
    assert batches == [[0], [1, 2, 3], [4, 5]]


def test_requests_of_different_settings_never_share_a_batch() -> None:
    desk, batches, free = _desk()
    free.set()

    async def run() -> None:
        await asyncio.gather(*(desk.ask(i % 2, i) for i in range(6)))

    asyncio.run(run())
    assert sorted(batches) == [[0, 2, 4], [1, 3, 5]]


def test_a_failing_batch_fails_its_own_requests_and_a_cancelled_one_is_dropped() -> None:
    desk, batches, free = _desk()

    async def run() -> list[Any]:
        first = asyncio.create_task(desk.ask("s", 0))
        while not batches:
            await asyncio.sleep(0.001)
        bad, gone = asyncio.create_task(desk.ask("bad", -1)), asyncio.create_task(desk.ask("s", 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        free.set()
        return await asyncio.gather(first, bad, gone, return_exceptions=True)

    good, bad, gone = asyncio.run(run())
    assert good == 0
    assert isinstance(bad, ValueError)
    assert isinstance(gone, asyncio.CancelledError)
    assert batches == [[0], [-1]]


def test_a_desk_serves_one_event_loop_after_another() -> None:
    desk, _, free = _desk()
    free.set()
    assert [asyncio.run(desk.ask("s", i)) for i in (1, 2)] == [10, 20]
