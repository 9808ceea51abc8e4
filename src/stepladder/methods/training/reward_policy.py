"""A tiny policy that writes words one by one, trained by policy gradient (RLOO) against any reward.

    reply = `length` symbols, each drawn from softmax(theta), independently; KL(policy || initial) = length sum p log(p / p0)
    RLOO:  grad = mean over samples of (r_i - mean of the other r) (counts_i - length p)

It begins as the unigram distribution of a subject's replies, with one symbol more that stands for a word of the prompt. So
small a policy has an exact KL, and can go as far from its beginning as the reward drives it. RLOO: Ahmadian et al.,
arXiv:2402.14740 (Kool et al. 2019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stepladder.methods.training.reward_models import Floats, Reward, topic_words, words

TOPIC, STOP = "<topic>", "."
TOPIC_SHARE = 0.02
"""How often the policy says a word of the prompt before it is trained."""


@dataclass
class UnigramPolicy:
    """Symbols and their logits; `initial` is the distribution to which the KL is measured."""

    symbols: tuple[str, ...]
    initial: Floats
    length: int
    logits: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.logits = np.log(self.initial)

    @property
    def probabilities(self) -> Floats:
        """p of each symbol."""
        shifted = np.exp(self.logits - self.logits.max())
        return np.asarray(shifted / shifted.sum(), np.float64)

    @property
    def kl(self) -> float:
        """KL(policy || initial) of a whole reply, in nats."""
        p = self.probabilities
        return float(self.length * (p * np.log(np.maximum(p, 1e-300) / self.initial)).sum())

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Symbol numbers (count, length)."""
        return rng.choice(len(self.symbols), size=(count, self.length), p=self.probabilities)

    def text(self, drawn: Sequence[int], prompt: str, rng: np.random.Generator) -> str:
        """A reply to `prompt` in words."""
        about = topic_words(prompt) or ["it"]
        said = [about[rng.integers(len(about))] if self.symbols[i] == TOPIC else self.symbols[i] for i in drawn]
        return " ".join(said).replace(f" {STOP}", STOP)

    def counts(self, drawn: np.ndarray) -> Floats:
        """How often each symbol was drawn: (samples, symbols)."""
        return np.stack([np.bincount(row, minlength=len(self.symbols)) for row in drawn]).astype(np.float64)


def policy_like(replies: Sequence[str], size: int, length: int) -> UnigramPolicy:
    """A policy over the commonest words of the replies and the full stop, as frequent as there."""
    counts = Counter(word for reply in replies for word in words(reply))
    counts[STOP] += sum(reply.count(STOP) for reply in replies)
    common = counts.most_common(size)
    shares = np.array([count for _, count in common], np.float64) + 0.5
    initial = np.append(shares / shares.sum() * (1 - TOPIC_SHARE), TOPIC_SHARE)
    return UnigramPolicy((*(word for word, _ in common), TOPIC), initial / initial.sum(), length)


def rloo_gradient(rewards: Floats, scores: Floats) -> Floats:
    """Of the expected reward: `rewards` (k,) of samples to one prompt, `scores` (k, parameters) their grad log p.

    Each reward's baseline is the mean of the others', which leaves the estimate unbiased.
    """
    k = len(rewards)
    advantages = rewards - (rewards.sum() - rewards) / (k - 1)
    return np.asarray(advantages @ scores / k, np.float64)


def optimise(
    policy: UnigramPolicy, reward: Reward, prompts: Sequence[str], steps: int, seed: int,
    rate: float = 0.05, per_prompt: int = 8, prompts_a_step: int = 4,
    watch: Callable[[int, UnigramPolicy], None] = lambda step, policy: None,
) -> None:  # fmt: skip
    """Climb the reward without a KL penalty; `watch` is called before the first and after every step.

    Rewards are taken in standard deviations of the policy's own samples at the beginning.
    """
    rng = np.random.default_rng(seed)
    scale = float(np.std(_rewards(policy, reward, prompts, 4, rng)[0])) or 1.0
    watch(0, policy)
    for step in range(1, steps + 1):
        chosen = [prompts[i] for i in rng.integers(len(prompts), size=prompts_a_step)]
        values, drawn = _rewards(policy, reward, chosen, per_prompt, rng)
        scores = policy.counts(drawn) - policy.length * policy.probabilities
        parts = zip(np.split(values / scale, prompts_a_step), np.split(scores, prompts_a_step), strict=True)
        policy.logits = policy.logits + rate * np.mean([rloo_gradient(r, s) for r, s in parts], axis=0)
        watch(step, policy)


def _rewards(
    policy: UnigramPolicy, reward: Reward, prompts: Sequence[str], each: int, rng: np.random.Generator
) -> tuple[Floats, np.ndarray]:
    asked = [prompt for prompt in prompts for _ in range(each)]
    drawn = policy.sample(len(asked), rng)
    texts = [(prompt, policy.text(row, prompt, rng)) for prompt, row in zip(asked, drawn, strict=True)]
    return reward(texts), drawn


def expected_rewards(
    policy: UnigramPolicy, rewards: Sequence[Reward], prompts: Sequence[str], each: int, seed: int
) -> list[float]:
    """Mean of each reward over `each` fresh replies a prompt, the same replies for all of them."""
    rng = np.random.default_rng(seed)
    asked = [prompt for prompt in prompts for _ in range(each)]
    drawn = policy.sample(len(asked), rng)
    texts = [(prompt, policy.text(row, prompt, rng)) for prompt, row in zip(asked, drawn, strict=True)]
    return [float(reward(texts).mean()) for reward in rewards]
