"""The figures of the page on concepts in latents; types in no figure.

python docs/_generate/latent_concepts.py STORE    measure on the embedded model (STORE keeps the record), then draw
python docs/_generate/latent_concepts.py          draw again from docs/methods/latent_concepts.json
"""

from __future__ import annotations

import sys

from training_charts import dots, draw, finding, point, shown, table, write

from stepladder.core import Finding, Measurement
from stepladder.methods.interpretability.latent_concepts import METHOD


def concepts(seen: Finding) -> None:
    """Picture and tables of one finding."""
    rows = []
    for m in seen.select("sparse_probe_auc"):
        group = f"{m.labels['latents']} latents, best {m.labels['k']}"
        rows.append(point(m, group=group, series="chosen latents"))
        if m.baseline and m.baseline.interval:
            low, high = m.baseline.interval.low, m.baseline.interval.high
            rows.append({"value": m.baseline.value, "low": low, "high": high, "group": group, "series": "random latents"})
    draw(dots(rows, "AUROC of a word's first letter, unseen words, mean over letters", width=460), "latent_concepts")
    write("latent_concepts", "\n".join([probing(seen), absorbed(seen), splits(seen)]))


def probing(seen: Finding) -> str:
    """Sparse probes against random latents and the dense probe."""
    rows = [
        [m.labels["latents"], m.labels["k"], shown(m, percent=False), _chance(m, 2), m.note.rpartition(" ")[2], str(m.n)]
        for m in seen.select("sparse_probe_auc")
    ]
    return table("dictionary|latents of the probe|AUROC|random latents|dense probe|letters", rows)


def absorbed(seen: Finding) -> str:
    """Words whose letter another latent carries."""
    rows = []
    for m in seen.select("absorption"):
        share = seen.one("absorption_share", **dict(m.labels))
        rows.append([m.labels["latents"], shown(m), _chance(m, None), shown(share), str(m.n), str(m.unmeasured)])
    return table("dictionary|absorbed in full|random directions|share absorbed|letters|letters unmeasured", rows)


def splits(seen: Finding) -> str:
    """Latents that split between two sizes."""
    rows = [
        [f"{m.labels['from']} to {m.labels['to']}", shown(m), str(m.n), m.note.split(";")[0]]
        for m in seen.select("split_share")
    ]
    return table("dictionaries|latents that split|of latents|found again", rows)


def _chance(m: Measurement, digits: int | None) -> str:
    if m.baseline is None or m.baseline.value is None:
        return ""
    return f"{100 * m.baseline.value:.0f}%" if digits is None else f"{m.baseline.value:.{digits}f}"


if __name__ == "__main__":
    concepts(finding(METHOD, sys.argv[1] if len(sys.argv) > 1 else None))
