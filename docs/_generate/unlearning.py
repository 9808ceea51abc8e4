"""The figures of the page on unlearning; types in no figure.

python docs/_generate/unlearning.py STORE    measure on the embedded model (STORE keeps the answers), then draw
python docs/_generate/unlearning.py          draw again from docs/methods/unlearning.json
"""

from __future__ import annotations

import sys

from training_charts import dots, draw, finding, lines, point, shown, table, write

from stepladder.core import Finding
from stepladder.methods.training.unlearning import METHOD

NAMES = {
    "subject": "never learnt", "full": "learnt", "retrained": "retrained without", "gradient_ascent": "gradient ascent",
    "npo": "NPO", "simnpo": "SimNPO", "rmu": "RMU", "task_vector": "task vector",
}  # fmt: skip


def unlearning(seen: Finding) -> None:
    """Pictures and tables of one finding."""
    levels = seen.select("answer_probability")
    draw(
        dots([point(m, group=NAMES[m.labels["model"]], series=f"rows to {m.labels['rows']}") for m in levels],
             "Probability of the answer, per token"),
        "unlearning",
    )  # fmt: skip
    curve = seen.select("relearned_probability")
    rows = [point(m, series=NAMES[m.labels["model"]], x=int(m.labels["epochs"])) for m in curve]
    bare = [{**row, "low": None, "high": None} for row in rows]
    axis = "Times over one row of each forgotten author"
    draw(lines(bare, axis, "Probability of their other answers", width=460), "unlearning_relearning")
    algorithms = [m.labels["algorithm"] for m in seen.select("utility_change")]
    write("unlearning", "\n".join([_models(seen), _costs(seen, algorithms), _relearnt(seen, algorithms), _attacks(seen)]))


def _models(seen: Finding) -> str:
    rows = []
    for m in seen.select("answer_probability", rows="forget"):
        name = m.labels["model"]
        kept, facts = seen.one("answer_probability", model=name, rows="retain"), seen.one("utility", model=name)
        rows.append([NAMES[name], shown(m), shown(kept), shown(facts)])
    return table("model|answers to forget|answers to retain|facts known", rows)


def _costs(seen: Finding, algorithms: list[str]) -> str:
    rows = []
    for name in algorithms:
        gap, quality = seen.one("forget_gap", algorithm=name), seen.one("forget_quality", algorithm=name)
        costs = [shown(seen.one(c, algorithm=name), sign=True) for c in ("retain_change", "utility_change")]
        rows.append([NAMES[name], shown(gap, sign=True), f"{quality.value:.2g}", *costs])
    untouched = seen.one("forget_quality", algorithm="full")
    none = gap.baseline.value if gap.baseline and gap.baseline.value is not None else 0.0
    rows.append(["nothing forgotten", f"{100 * none:+.0f}", f"{untouched.value:.2g}", "", ""])
    head = "algorithm|forget gap to retrained, points|forget quality, p|retain change, points|facts change, points"
    return table(head, rows)


def _relearnt(seen: Finding, algorithms: list[str]) -> str:
    epochs = list(dict.fromkeys(m.labels["epochs"] for m in seen.select("relearned_gap")))
    rows = [
        [NAMES[name], *(shown(seen.one("relearned_gap", algorithm=name, epochs=e), sign=True) for e in epochs)]
        for name in algorithms
    ]
    return table("|".join(["algorithm", *(f"gap after relearning {e} times, points" for e in epochs)]), rows)


def _attacks(seen: Finding) -> str:
    attacks = list(dict.fromkeys(m.labels["attack"] for m in seen.select("attack_recall")))
    models = list(dict.fromkeys(m.labels["model"] for m in seen.select("attack_recall")))
    rows = [[NAMES[m], *(shown(seen.one("attack_recall", model=m, attack=a)) for a in attacks)] for m in models]
    return table("|".join(["model", *attacks]), rows)


if __name__ == "__main__":
    unlearning(finding(METHOD, sys.argv[1] if len(sys.argv) > 1 else None))
