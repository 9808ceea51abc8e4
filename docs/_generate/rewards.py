"""The figures of the page on reward over-optimisation; types in no figure.

python docs/_generate/rewards.py STORE    measure on the embedded model (STORE keeps the answers), then draw
python docs/_generate/rewards.py          draw again from docs/methods/reward_overoptimisation.json
"""

from __future__ import annotations

import math
import sys

from training_charts import draw, finding, lines, point, shown, table, write

from stepladder.core import Finding
from stepladder.methods.training.reward_overoptimisation import METHOD

WAYS = {"best_of_n": "best-of-n on the subject's replies", "policy": "policy gradient on a small policy"}


def main(seen: Finding) -> None:
    """The picture and the table of one finding."""
    import altair as alt

    panels = [lines(_rows(seen, way), "square root of KL, nats", "gain, standard deviations", WAYS[way]) for way in WAYS]
    draw(alt.hconcat(*panels), METHOD.name)
    rows = []
    for m in seen.select("peak_kl"):
        labels = dict(m.labels)
        last = seen.select("reward_gain", reward="gold", **labels)[-1]
        highest = max(seen.select("reward_gain", reward="gold", **labels), key=lambda p: p.value or 0)
        lost = seen.one("overoptimisation", **labels)
        kl = f"{shown(m, percent=False)} of {float(last.labels['kl']):.2f}"
        cells = [shown(x, percent=False, sign=True) for x in (highest, last, lost)]
        rows.append([WAYS[labels["way"]], labels["proxy"], kl, *cells, str(m.n)])
    head = "way|proxy|KL where gold is highest|gold gain there|gold gain at the end|lost after the peak|n"
    agree = [[m.labels["proxy"], shown(m), str(m.n)] for m in seen.select("proxy_agreement")]
    write(METHOD.name, table(head, rows) + "\n" + table("proxy|agrees with gold on pairs of unseen prompts|prompts", agree))


def _rows(seen: Finding, way: str) -> list[dict[str, object]]:
    return [
        point(m, series=f"{m.labels['reward']} reward, {m.labels['proxy']} proxy", x=math.sqrt(float(m.labels["kl"])))
        for m in seen.select("reward_gain", way=way)
        if (m.labels["proxy"], m.labels["reward"]) != ("perfect", "proxy")
    ]


if __name__ == "__main__":
    main(finding(METHOD, sys.argv[1] if len(sys.argv) > 1 else None))
