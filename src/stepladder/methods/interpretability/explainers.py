"""From a latent's contexts to a label: token statistics, the logit lens, or a chat model.

* `ngrams`: what an activation is on average, given the token, its class, its ending, the token before it, or both tokens;
  the kind of statistic that foretells other documents best is kept (Foote et al., arXiv:2305.19911, explain neurons by
  n-grams too). The label says in words just what the statistic reads.
* `logit_lens`: the tokens that the latent's decoder row promotes (nostalgebraist 2020): what follows, not what is there.
* `chat`: a chat model is shown windows with the active tokens marked (Bills et al. 2023; Paulo et al., arXiv:2410.13928).

The first two give a `Rule` that foretells activations by itself, so that they can be scored without any model.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Message
from stepladder.judges.prompt import nonce_for, read_prompt
from stepladder.methods.interpretability.contexts import Contexts, Example
from stepladder.methods.interpretability.label_scores import pearson

KEYS = 20
"""Most entries that a rule may have: what a reader can take in."""
FAINT = 0.1
"""Entries below this share of the rule's largest are left out."""
SHOWN = 12
"""Entries that a label names before it says how many more there are."""
MARGIN = 0.02
"""How much better in r a kind of statistic must be than a simpler one to be preferred."""
PARTS = 4
"""Parts that the documents are dealt into to compare kinds of statistics."""
PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Rule:
    """Foretells the activation at each token, as a share of the latent's largest, from what `reads` finds there."""

    reads: str
    values: Mapping[str, float]

    def predict(self, tokens: Sequence[str]) -> NDArray[np.float64]:
        """(tokens,)"""
        return np.array([self.values.get(key, 0.0) for key in READERS[self.reads](tokens)])


@dataclass(frozen=True)
class Label:
    """What a latent is said to stand for. A label without a rule is scored by a chat model."""

    text: str
    explainer: str
    rule: Rule | None = None


def _bare(token: str) -> str:
    return token.strip().lower() or ("a line break" if "\n" in token else "a space")


def token_class(token: str) -> str:
    """The one class that a token is of, by its characters."""
    word = token.strip()
    if not word:
        return "line breaks" if "\n" in token else "spaces"
    if any(char.isdigit() for char in word):
        return "digits"
    if not any(char.isalpha() for char in word):
        return "punctuation and symbols"
    if not word.isascii():
        return "letters beyond ASCII"
    if word.isupper() and len(word) > 1:
        return "words in capitals"
    return "capitalised words" if word[0].isupper() else "lower-case words"


def _before(tokens: Sequence[str]) -> list[str]:
    return ["", *(_bare(token) for token in tokens[:-1])]


def _pairs(tokens: Sequence[str]) -> list[str]:
    return [f"{a} {b}" if a else "" for a, b in zip(_before(tokens), map(_bare, tokens), strict=True)]


def _endings(tokens: Sequence[str]) -> list[str]:
    return [bare[-3:] if len(bare := _bare(token)) > 4 and bare.isalpha() else "" for token in tokens]


READERS: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    "class": lambda tokens: [token_class(token) for token in tokens],
    "token": lambda tokens: [_bare(token) for token in tokens],
    "ending": _endings,
    "previous": _before,
    "pair": _pairs,
    "next": lambda tokens: [*(_bare(token) for token in tokens[1:]), ""],
}
"""What a rule looks at: one key for every token, simpler kinds first."""
STATISTICS = ("class", "token", "ending", "previous", "pair")
_WORDING = {
    "class": "{}", "token": "the token {}", "ending": "words that end in {}", "previous": "the token after {}",
    "pair": "the last of {}", "next": "where {} is likely to come next",
}  # fmt: skip


def worded(reads: str, values: Mapping[str, float]) -> str:
    """A rule in words: its entries, strongest first."""
    keys = sorted(values, key=lambda key: (-values[key], key))
    names = keys if reads == "class" else [f'"{key}"' for key in keys]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return _WORDING[reads].format(", ".join(names[:SHOWN]) + more) if names else "nothing that was seen"


# --- token statistics ---


def explain_by_ngrams(contexts: Contexts) -> Label:
    """The kind of statistic that foretells other documents best, fitted on all windows to explain from."""
    examples = (*contexts.train, *contexts.train_inactive)
    best, best_r = STATISTICS[0], -np.inf
    for reads in STATISTICS:
        r = _held_out_r(reads, examples, contexts.maximum)
        if r > best_r + MARGIN:
            best, best_r = reads, r
    rule = fit_rule(best, examples, contexts.maximum)
    return Label(worded(best, rule.values), "ngrams", rule)


def fit_rule(reads: str, examples: Iterable[Example], maximum: float) -> Rule:
    """Mean share of activation for each key, drawn towards 0 by one token seen without activation."""
    total: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for example in examples:
        for key, value in zip(READERS[reads](example.tokens), example.activations, strict=True):
            total[key] += min(value / maximum, 1.0)
            count[key] += 1
    means = {key: total[key] / (count[key] + 1) for key in total if key and total[key] > 0}
    top = max(means.values(), default=0.0)
    strong = [key for key, mean in means.items() if mean >= FAINT * top]
    kept = sorted(strong, key=lambda key: (-total[key], key))[:KEYS]
    return Rule(reads, {key: means[key] for key in kept})


def _held_out_r(reads: str, examples: Sequence[Example], maximum: float) -> float:
    """Pearson's r of what rules fitted on some documents foretell for the others, each document left out once.

    Documents with activation are dealt out before those without, so that every part has some of either.
    """
    firing = {example.document for example in examples if any(example.activations)}
    documents = sorted({example.document for example in examples}, key=lambda document: (document not in firing, document))
    part = {document: i % PARTS for i, document in enumerate(documents)}
    predicted, true = [], []
    for left_out in range(PARTS):
        rule = fit_rule(reads, (e for e in examples if part[e.document] != left_out), maximum)
        for example in (e for e in examples if part[e.document] == left_out):
            predicted.append(rule.predict(example.tokens))
            true.append(np.array(example.activations))
    r = pearson(np.concatenate(predicted), np.concatenate(true))
    return -1.0 if r is None else r


# --- the logit lens ---


@dataclass(frozen=True)
class Lens:
    """Decoder rows seen through the model's final norm and unembedding.

    `unembedding` (vocabulary, width) has the norm's gain folded in; with `centred` (LayerNorm) rows lose their mean first.
    """

    unembedding: NDArray[np.float32]
    pieces: Callable[[int], str]
    centred: bool = False

    def logits(self, directions: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, width) to (n, vocabulary): what a unit step along each adds to the logits, up to the norm's scale."""
        rows = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        if self.centred:
            rows = rows - rows.mean(1, keepdims=True)
        logits: NDArray[np.float32] = rows @ self.unembedding.T
        return logits

    def extremes(self, logits: NDArray[np.float32], count: int) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """The tokens with the largest logits of one direction, and those with the smallest, most extreme first."""
        order = np.argsort(logits, kind="stable")
        up, down = (
            [(self.pieces(int(token)), float(logits[token])) for token in part]
            for part in (order[::-1][:count], order[:count])
        )
        return up, down


def logit_lens(model: Any, pieces: Callable[[int], str]) -> Lens | None:
    """The lens of a transformers causal language model, or `None` where its final norm is not known."""
    base = model.base_model
    norm = next((getattr(base, name) for name in ("norm", "ln_f", "final_layer_norm") if hasattr(base, name)), None)
    head = model.get_output_embeddings()
    if norm is None or head is None:
        return None
    gain = norm.weight.detach().float().cpu().numpy()
    weight = head.weight.detach().float().cpu().numpy()
    return Lens(weight * gain, pieces, centred="LayerNorm" in type(norm).__name__)


def explain_by_logits(lens: Lens, direction: NDArray[np.float32], count: int = 10) -> Label:
    """Fires where one of the tokens that its direction promotes most comes next."""
    up, _ = lens.extremes(lens.logits(direction[None])[0], 3 * count)
    top = max(up[0][1], 1e-12)
    values: dict[str, float] = {}
    for token, logit in up:
        if logit > 0 and len(values) < count:
            values.setdefault(_bare(token), logit / top)
    return Label(worded("next", values), "logit_lens", Rule("next", values))


# --- a chat model ---


def marked(tokens: Sequence[str], marks: Sequence[bool]) -> str:
    """The window with its marked tokens in <<>>, neighbours in one pair."""
    text = "".join(f"<<{token}>>" if mark else token for token, mark in zip(tokens, marks, strict=True))
    return text.replace(">><<", "")


def explain_messages(contexts: Contexts, shown: int = 16) -> tuple[Message, ...]:
    """The question to a chat model: windows with the active tokens marked, strongest first, then some without any."""
    strongest = sorted(contexts.train, key=lambda example: -max(example.activations))[:shown]
    lines = [f"{i}. {marked(e.tokens, e.marks)!r}" for i, e in enumerate(strongest, 1)]
    silent = [f"- {example.text!r}" for example in contexts.train_inactive[: shown // 2]]
    texts, others = "\n".join(lines), "\n".join(silent)
    return read_prompt(PROMPTS / "explain.md").fill(texts=texts, others=others, nonce=nonce_for(texts, others))


def read_label(reply: str | None) -> str | None:
    """What stands behind the last `Label:` of a reply, or `None`."""
    found = re.findall(r"^\W*label\W*:\s*(.+)$", reply or "", re.IGNORECASE | re.MULTILINE)
    text = found[-1].strip(" *`") if found else ""
    quoted = re.fullmatch(r"""(["'])(.*)\1""", text)
    text = quoted[2] if quoted and quoted[1] not in quoted[2] else text
    return text[:300] or None
