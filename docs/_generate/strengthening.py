"""The figures of the pages on adversarial training and constitutional AI; types in no figure.

python docs/_generate/strengthening.py NAME STORE   measure NAME on the embedded model (STORE keeps the answers), then draw
python docs/_generate/strengthening.py NAME         draw again from docs/methods/NAME.json
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from training_charts import PAGES, dots, draw, point, shown, table, write

from stepladder.core import Finding, Measurement, Method
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.methods.training.adversarial_training import METHOD as ADVERSARIAL
from stepladder.methods.training.constitutional_ai import METHOD as CONSTITUTIONAL
from stepladder.store import open_store

NAMES = {
    "before": "before", "after": "after", "system_prompt": "system prompt only", "direct_only": "direct requests only",
    "supervised": "after finetuning", "held_out": "held-out families", "trained": "trained families",
    "direct": "direct requests", "twin": "near-twins", "wrapped_twin": "near-twins inside attacks", "ordinary": "ordinary",
    "harmful": "harmful requests", "preferences": "DPO on preferences",
}  # fmt: skip

PICTURES = {
    "adversarial_training": "![Attack success before, after, and under the alternatives](adversarial_training.svg)\n",
    "constitutional_ai": "![Harmful and harmless requests answered at every stage](constitutional_ai.svg)\n",
}


def finding(method: Method, store: str | None) -> Finding:
    """Measured with the default configuration and judge in `store`, or read from the page's own file."""
    seen = PAGES / f"{method.name}.json"
    if store:
        with open_store(Path(store), Progress(), Budget()) as opened:
            done = measure(open_bench(opened, "smollm2", "refusal", None, seed=0), method)
            seen.write_text(done.finding.to_json() + "\n", "utf-8")
            print(done.record.cost, done.record.data.get("rounds"), done.record.data.get("training"))
    return Finding.from_json(seen.read_text("utf-8"))


def adversarial(seen: Finding) -> None:
    """Attack success by family and condition; what it cost."""
    rates = [m for m in seen.select("attack_success_rate") if m.labels["role"] == "direct" or "family" in m.labels]
    order = {"trained": 0, "direct": 1, "held_out": 2}
    rates = sorted(rates, key=lambda m: (order[m.labels["role"]], m.labels.get("family", "")))
    rows = [point(m, group=_group(m), series=NAMES[m.labels["condition"]]) for m in rates]
    draw(dots(rows, "Attack success"), "adversarial_training")
    roles = [m for m in seen.select("attack_success_rate", condition="before") if "family" not in m.labels]
    changes = [_changes(seen, "attack_success", {"role": m.labels["role"]}) for m in roles]
    kinds = [_changes(seen, "over_refusal", {"kind": kind}) for kind in ("twin", "wrapped_twin", "ordinary")]
    head = "what|before|after|change, points|direct requests only, change|system prompt only, change"
    write(
        "adversarial_training",
        "\n".join([PICTURES["adversarial_training"], "Attack success:\n", table(head, changes),
                   "Refusals of harmless requests:\n", table(head, kinds),
                   "Capability pairs right:\n", table(head, [_changes(seen, "capability", {})]),
                   _validation(seen), "\n" + _limits(seen)]),
    )  # fmt: skip


def _group(m: Measurement) -> str:
    return m.labels.get("family", "no attack").replace("_", " ") + (", held out" if m.labels["role"] == "held_out" else "")


def _changes(seen: Finding, name: str, labels: dict[str, str]) -> list[str]:
    """Levels before and after, then the paired changes of the technique and of the trivial alternatives."""
    rate = name if name == "capability" else f"{name}_rate"
    levels = [_one(seen, rate, condition=condition, **labels) for condition in ("before", "after")]
    moved = [
        _one(seen, f"{name}_change", sign=True, condition=c, **labels) for c in ("after", "direct_only", "system_prompt")
    ]
    return [NAMES[next(iter(labels.values()), "")] if labels else "all pairs", *levels, *moved]


def _one(seen: Finding, name: str, sign: bool = False, **labels: str) -> str:
    found = [m for m in seen.select(name, **labels) if "family" not in m.labels]
    return shown(found[0], sign=sign) if found else "not asked"


def _validation(seen: Finding) -> str:
    rows = [[m.labels["round"], shown(m), str(m.n)] for m in seen.select("validation_success")]
    tokens = seen.one("tokens_trained")
    base = f"{tokens.baseline.value:,.0f}" if tokens.baseline and tokens.baseline.value is not None else "none"
    return (
        "Rounds:\n\n" + table("round|success of the validation family|behaviours", rows)
        + f"\nTokens trained in the rounds kept: {tokens.value:,.0f}, in {tokens.n} rows; direct requests only: {base}.\n"
    )  # fmt: skip


def constitutional(seen: Finding) -> None:
    """Harmless and helpful apart at every stage, and the AI's labels."""
    kinds = ("harmful", "twin", "ordinary")
    rates = [
        m
        for kind in kinds
        for m in (*seen.select("harmful_compliance_rate", kind=kind), *seen.select("helpful_rate", kind=kind))
    ]
    rows = [point(m, group=f"{NAMES[m.labels['kind']]} answered", series=NAMES[m.labels["condition"]]) for m in rates]
    draw(dots(rows, "Share of behaviours"), "constitutional_ai")
    head = "what|before|after finetuning|after DPO|change after DPO, points|system prompt only, change"
    lines = [
        _stages(seen, "harmful_compliance", "harmful requests complied with", "harmful"),
        *(_stages(seen, "helpful", f"{NAMES[kind]} requests answered", kind) for kind in kinds[1:]),
        *(_stages(seen, "over_refusal", f"{NAMES[kind]} requests refused", kind) for kind in kinds[1:]),
        _stages(seen, "capability", "capability pairs right", ""),
    ]
    agreement = seen.one("preference_agreement")
    spent = [[NAMES[m.labels["stage"]], f"{m.value:,.0f}", str(m.n)] for m in seen.select("tokens_trained")]
    write(
        "constitutional_ai",
        "\n".join([PICTURES["constitutional_ai"], table(head, lines), table("stage|tokens|rows or pairs", spent),
                   f"AI preferences that chose the reply known to be better: {shown(agreement)}, n = {agreement.n} "
                   f"({agreement.note}); guessing 50%.\n", _limits(seen)]),
    )  # fmt: skip


def _stages(seen: Finding, name: str, words: str, kind: str) -> list[str]:
    labels = {"kind": kind} if kind else {}
    rate = name if name == "capability" else f"{name}_rate"
    levels = [shown(seen.one(rate, condition=c, **labels)) for c in ("before", "supervised", "after")]
    moved = [shown(seen.one(f"{name}_change", condition=c, **labels), sign=True) for c in ("after", "system_prompt")]
    return [words, *levels, *moved]


def _limits(seen: Finding) -> str:
    """What this run in particular shows: the first of its limits."""
    own = [text for text in seen.limits if text not in _general(seen)]
    return (
        "\n".join(f"- {text}" for text in own)
        + f"\n\nJudge `{seen.judge}`, subject `{seen.subject}`, seed 0; 95% intervals.\n"
    )


def _general(seen: Finding) -> tuple[str, ...]:
    from stepladder.methods.training import adversarial_training, constitutional_ai

    return {"adversarial_training": adversarial_training, "constitutional_ai": constitutional_ai}[seen.method]._LIMITS


PAGES_OF: dict[str, tuple[Method, Callable[[Finding], None]]] = {
    "adversarial_training": (ADVERSARIAL, adversarial),
    "constitutional_ai": (CONSTITUTIONAL, constitutional),
}

if __name__ == "__main__":
    method, page = PAGES_OF[sys.argv[1]]
    page(finding(method, sys.argv[2] if len(sys.argv) > 2 else None))
