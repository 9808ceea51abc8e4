"""Optimise against a learned reward and watch the true one: by best-of-n and by policy gradient, until it turns down.

Paper: Gao, Schulman and Hilton, Scaling Laws for Reward Model Overoptimization (arXiv:2210.10760). What differs: the gold
reward is a pure function of texts and not a large model; proxies are Bradley-Terry models on TF-IDF features, learned from
few noisy comparisons; best-of-n runs on samples of the subject with the exact estimator; and the policy that is trained is a
small one that begins as the subject's word frequencies, so that its KL is exact and can grow large. A proxy that is the gold
reward itself is optimised in the same way: it must not turn down.

Unit: a prompt for best-of-n (averaged over proxies that never saw it), a proxy with its training run for the policy. Trivial
baseline: the perfect proxy, optimised to the same KL.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepladder.core import (
    Context,
    DataError,
    Exchange,
    Finding,
    Message,
    Method,
    Record,
    Request,
    StepladderError,
    Verdict,
    cost_of,
    new_record,
)
from stepladder.data import load_ordinary
from stepladder.methods.training import reward_measures
from stepladder.methods.training.reward_models import Reward, gold_rewards, learn_proxy
from stepladder.methods.training.reward_policy import UnigramPolicy, expected_rewards, optimise, policy_like

PROXIES = ("learned", "perfect")
LENGTH, SYMBOLS = 30, 200


@dataclass(frozen=True)
class Config:
    """How much is sampled, what the proxies learn from, and how long the policy is trained."""

    prompts: int = 24
    """Ordinary requests, chosen by the seed; half of them teach a proxy, the other half test it."""
    samples: int = 16
    """Replies to each."""
    max_tokens: int = 40
    """Longest reply, in tokens."""
    temperature: float = 1.0
    """Sampling temperature of the subject."""
    comparisons: int = 100
    """Pairs of replies that each proxy is learned from."""
    noise: float = 1.0
    """Noise of a comparison, in standard deviations of the gold reward."""
    seeds: int = 8
    """Proxies, each with its own half of the prompts, comparisons and policy."""
    steps: int = 200
    """Policy-gradient steps."""

    def __post_init__(self) -> None:
        for name, least in (("prompts", 4), ("samples", 2), ("comparisons", 1), ("seeds", 2), ("steps", 8)):
            if getattr(self, name) < least:
                raise StepladderError(f"reward_overoptimisation: {name} is {getattr(self, name)}; allowed: {least} or more")


def plan(config: Config, seed: int) -> tuple[Request, ...]:
    """Every prompt, as often as there are samples."""
    chosen = random.Random(seed).sample(load_ordinary(), config.prompts)
    return tuple(
        Request(
            id=f"{prompt.id}/{sample}",
            messages=(Message(role="user", content=prompt.text),),
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            seed=random.Random(f"{seed}/{prompt.id}/{sample}").getrandbits(31),
            metadata={"behaviour": prompt.id, "sample": sample, "request": prompt.text},
        )
        for prompt in chosen
        for sample in range(config.samples)
    )


def record(context: Context, config: Config) -> Record:
    """Sample, learn the proxies, score every sample, and train the policies; what is kept are numbers."""
    exchanges = context.ask(context.subject, plan(config, context.seed), label="samples to choose from")
    prompts, replies = _answered(exchanges, config)
    runs = []
    with context.task("optimise the proxies", config.seeds * len(PROXIES)) as advance:
        for seed in range(config.seeds):
            runs += [_run(prompts, replies, config, context.seed * 1000 + seed, kind) for kind in PROXIES]
            advance(len(PROXIES))
    data = {"prompts": prompts, "unanswered": config.prompts - len(prompts), "runs": runs}
    return new_record(METHOD, context, config, data=data, cost=cost_of(e.reply for e in exchanges))


def _answered(exchanges: Sequence[Exchange], config: Config) -> tuple[list[str], list[list[str]]]:
    """The prompts all of whose samples were answered, and the replies to each."""
    groups = [exchanges[i : i + config.samples] for i in range(0, len(exchanges), config.samples)]
    whole = [group for group in groups if all(e.reply.text is not None for e in group)]
    if len(whole) < 4:
        raise DataError("reward_overoptimisation", f"{len(whole)} of {len(groups)} prompts were answered; 4 are needed")
    return [group[0].request.messages[-1].content for group in whole], [[e.reply.text or "" for e in g] for g in whole]


def _run(prompts: list[str], replies: list[list[str]], config: Config, seed: int, kind: str) -> dict[str, Any]:
    """One proxy: its scores of the prompts it never saw, and the policy trained on it."""
    order = np.random.default_rng(seed).permutation(len(prompts)).tolist()
    taught, tested = order[: len(order) // 2], sorted(order[len(order) // 2 :])
    seen, answers = [prompts[i] for i in taught], [replies[i] for i in taught]
    proxy: Reward = gold_rewards
    if kind == "learned":
        proxy = learn_proxy(seen, answers, config.comparisons, config.noise, seed)
    return {
        "proxy": kind,
        "seed": seed,
        "tested": tested,
        "gold_scores": [_scores(gold_rewards, prompts[i], replies[i]) for i in tested],
        "proxy_scores": [_scores(proxy, prompts[i], replies[i]) for i in tested],
        "policy": _trained(proxy, seen, [prompts[i] for i in tested], answers, config.steps, seed),
    }


def _scores(reward: Reward, prompt: str, replies: Sequence[str]) -> list[float]:
    return [float(value) for value in reward([(prompt, reply) for reply in replies])]


def _trained(
    proxy: Reward, seen: Sequence[str], tested: Sequence[str], replies: Sequence[Sequence[str]], steps: int, seed: int
) -> list[dict[str, float]]:
    """Proxy and gold reward on prompts that training did not see, at a dozen points on the way."""
    policy = policy_like([reply for group in replies for reply in group], SYMBOLS, LENGTH)
    points = {0, *(round(steps * (i / 11) ** 2) for i in range(1, 12))}
    found: list[dict[str, float]] = []

    def watch(step: int, policy: UnigramPolicy) -> None:
        if step in points:
            values = expected_rewards(policy, (proxy, gold_rewards), tested, 16, seed)
            found.append({"step": step, "kl": max(0.0, policy.kl), "proxy": values[0], "gold": values[1]})

    optimise(policy, proxy, seen, steps, seed, watch=watch)
    return found


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Gold and proxy along both ways of optimising, where gold is highest, and what is lost after that."""
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        measurements=tuple(reward_measures.measurements(record.data, config.samples)),
        limits=_LIMITS,
    )


_LIMITS = (
    "The gold reward is a formula about words: it stands for a preference, and is not one.",
    "The trained policy writes words independently of each other; it shows how a proxy fails, not how a chat model would.",
    "The subject is sampled and not trained: best-of-n reaches only what it already says.",
)

METHOD = Method(
    name="reward_overoptimisation", family="training", access="chat", papers=("arXiv:2210.10760", "arXiv:2402.14740"),
    config=Config, record=record, judge=judge, plan=plan,
)  # fmt: skip
