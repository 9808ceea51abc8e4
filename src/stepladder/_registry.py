"""What Inspect finds through our entry point: the provider `stepladder/...` and a task for each technique with a plan.

Kept free of torch: Inspect imports this module whenever it lists its extensions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    modelapi,
)
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, Value, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from stepladder.methods import CATALOGUE, get_method
from stepladder.methods.auditing.agents import investigator_agent as investigator_agent  # a task: found by Inspect here

if TYPE_CHECKING:
    from stepladder.core import Exchange, Message, Request

_ROLES: dict[str, Callable[..., ChatMessage]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@modelapi(name="stepladder")
def stepladder() -> type[Any]:
    """Our white-box and scripted models as an Inspect provider: `--model stepladder/smollm2`."""
    from stepladder.models.inspect_provider import StepladderAPI

    return StepladderAPI


@solver
def ask_as_planned() -> Solver:
    """Generate once with the limit, temperature and seed that the technique planned for this sample."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        plan = state.metadata
        return await generate(
            state, max_tokens=plan["max_tokens"], temperature=plan["temperature"], seed=plan["request_seed"], cache=False
        )

    return solve


@metric
def compliance() -> Metric:
    """Share of requests met, with its interval over behaviours; harmful requests and harmless controls apart."""

    def compute(scores: list[SampleScore]) -> Value:
        kinds = dict.fromkeys(str((score.sample_metadata or {}).get("kind", "all")) for score in scores)
        return {name: value for kind in kinds for name, value in _rate(kind, scores).items()}

    return compute


def _rate(kind: str, scores: list[SampleScore]) -> dict[str, float]:
    from stepladder.stats import clustered_rate

    mine = [s for s in scores if str((s.sample_metadata or {}).get("kind", "all")) == kind]
    clusters = [str((s.sample_metadata or {}).get("behaviour", s.sample_id)) for s in mine]
    rate = clustered_rate([s.score.as_float() for s in mine], clusters)
    ends = {f"{kind}_low": rate.interval.low, f"{kind}_high": rate.interval.high} if rate.interval else {}
    return {kind: rate.value, **ends}


@scorer(metrics=[compliance()], name="judge")
def judge(name: str = "refusal_patterns") -> Scorer:
    """Attack success by one of our judges; what the judge could not tell is left unscored with its reason."""
    from stepladder.judges import JudgeTools, get_judge, judge_exchanges

    chosen = get_judge(name)

    async def score(state: TaskState, target: Target) -> Score:
        verdict = judge_exchanges(chosen, [_exchange(state)], JudgeTools())[0]
        if verdict.value is None:
            return Score.unscored(reason=verdict.unmeasured or "unmeasured")
        return Score(value=verdict.value, answer=state.output.completion, explanation=verdict.label)

    return score


def _sample(request: Request) -> Sample:
    planned = {"max_tokens": request.max_tokens, "temperature": request.temperature, "request_seed": request.seed}
    return Sample(
        id=request.id,
        input=[_message(message) for message in request.messages],
        metadata=dict(request.metadata) | planned,
    )


def _message(message: Message) -> ChatMessage:
    return _ROLES[message.role](content=message.content)


def _exchange(state: TaskState) -> Exchange:
    """What our judges read: the planned request and the answer that came."""
    from stepladder.core import Exchange, Message, Reply, Request

    asked = [Message(role="user", content=message.text) for message in state.messages if message.role == "user"]
    metadata = {name: value for name, value in state.metadata.items() if isinstance(value, str | int | float | bool)}
    request = Request(id=str(state.sample_id), messages=tuple(asked), metadata=metadata)
    if not state.output.choices:
        return Exchange(request=request, reply=Reply(error=state.output.error or "the model answered nothing"))
    return Exchange(request=request, reply=Reply(text=state.output.completion, stop_reason=str(state.output.stop_reason)))


def _task(method_name: str, seed: int, judge_name: str, config: dict[str, Any]) -> Task:
    method = get_method(method_name)
    assert method.plan is not None, f"{method_name} has no plan"
    requests = method.plan(method.config(**config), seed)
    return Task(
        name=method_name,
        dataset=MemoryDataset([_sample(request) for request in requests], name=method_name),
        solver=ask_as_planned(),
        scorer=judge(judge_name),
        config=GenerateConfig(),
        metadata={"family": method.family, "papers": list(method.papers)},
    )


def _register(method_name: str, task_name: str) -> None:
    """Make one Inspect task. `-T` options are the technique's own configuration, `seed` and `judge`."""

    def build(seed: int = 0, judge: str = "refusal_patterns", **config: Any) -> Task:
        return _task(method_name, seed, judge, config)

    build.__name__ = build.__qualname__ = task_name
    build.__doc__ = f"The technique {method_name} on any model that Inspect reaches."
    globals()[task_name] = task(name=task_name)(build)


for _method in CATALOGUE:
    if _method.plan is not None:
        _register(_method.name, _method.name)
# The family's name stands for its sweep, so that `inspect eval stepladder/red_teaming` does what a newcomer expects.
_register("attack_library", "red_teaming")
