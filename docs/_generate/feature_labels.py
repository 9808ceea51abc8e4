"""The figures of the pages on feature labels and neuron puzzles; types in no figure.

python docs/_generate/feature_labels.py STORE [PUZZLES]   measure on the embedded model (STORE keeps the answers), then draw
python docs/_generate/feature_labels.py                   draw again from the .json files beside the pages

PUZZLES are the published neuron puzzles (their puzzles.json, or JSON lines), which the package does not ship.
"""

from __future__ import annotations

import sys
from pathlib import Path

from training_charts import PAGES, dots, draw, finding, lines, point, shown, table, write

from stepladder.core import Baseline, Finding, Measurement
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.methods.interpretability.feature_labels import METHOD as FEATURES
from stepladder.methods.interpretability.neuron_puzzles import METHOD as PUZZLES
from stepladder.methods.interpretability.neuron_puzzles import Config
from stepladder.store import open_store

NAMES = {"ngrams": "token statistics", "logit_lens": "logit lens", "chat": "chat model"}
SHORT = {"ngrams": "n-grams", "logit_lens": "logit lens", "chat": "chat"}
"""For axes, which cut longer ones."""
PUBLISHED = PAGES / "neuron_puzzles_published.json"
PLAIN, OTHER, RANDOM = "its own label", "another latent's label", "random directions, own label"


def features(seen: Finding) -> None:
    """Mean scores and shares of the dictionary, of exchanged labels and of random directions; some labels."""
    for name, picture, title in (
        ("label_score", "feature_labels", "Mean score on other texts (AUC; simulation: r)"),
        ("labelled_share", "feature_labels_shares", "Share of latents above the threshold"),
    ):
        rows = []
        for m in seen.select(name, latents="dictionary"):
            place = {k: m.labels[k] for k in ("explainer", "scorer")}
            group = f"{SHORT[place['explainer']]} {place['scorer']}"
            there = seen.one(name, latents="random_directions", **place)
            rows.append(point(m, group=group, series=PLAIN))
            if m.baseline:
                rows.append(_baseline(m.baseline, group))
            rows.append(point(there, group=group, series=RANDOM))
        draw(dots(rows, title, width=380), picture)
    hits = [
        point(m, x=int(m.labels["quantile"]), series=NAMES[m.labels["explainer"]])
        for m in seen.select("hit_rate")
        if m.value is not None
    ]
    alarms = [
        {"x": row["x"], "value": m.baseline.value, "low": None, "high": None, "series": "silent windows (statistics)"}
        for row, m in zip(hits, seen.select("hit_rate", explainer="ngrams"), strict=False)
        if m.baseline
    ]
    draw(lines([*hits, *alarms], "Quantile of activation", "Windows called active", width=400), "feature_labels_quantiles")
    write("feature_labels", "\n".join([_scores(seen), _shares(seen), _scorable(seen), _some_labels(seen)]))


def _baseline(baseline: Baseline, group: str) -> dict[str, object]:
    low, high = (baseline.interval.low, baseline.interval.high) if baseline.interval else (None, None)
    return {"value": baseline.value, "low": low, "high": high, "group": group, "series": OTHER}


def _scores(seen: Finding) -> str:
    rows = []
    for m in seen.select("label_score", latents="dictionary"):
        if m.value is None:
            continue
        place = {k: m.labels[k] for k in ("explainer", "scorer")}
        gain = seen.select("label_gain", latents="dictionary", **place)
        there = seen.one("label_score", latents="random_directions", **place)
        other = f"{m.baseline.value:.2f}" if m.baseline and m.baseline.value is not None else ""
        gained = shown(gain[0], percent=False, sign=True) if gain else ""
        cells = [NAMES[place["explainer"]], place["scorer"], shown(m, percent=False), other, gained]
        beyond = shown(seen.one("score_beyond_random", **place), percent=False, sign=True)
        rows.append([*cells, shown(there, percent=False), beyond])
    return table("explainer|scorer|own label|another's|gain|random directions|beyond them", rows)


def _shares(seen: Finding) -> str:
    rows = []
    for m in seen.select("labelled_share", latents="dictionary"):
        place = {k: m.labels[k] for k in ("explainer", "scorer")}
        gain = seen.select("labelled_gain", latents="dictionary", **place)
        beyond = seen.select("share_beyond_random", **place)
        rows.append([
            NAMES[place["explainer"]], place["scorer"], shown(m), shown(gain[0], sign=True) if gain else "",
            shown(beyond[0], sign=True) if beyond else "",
        ])  # fmt: skip
    return table("explainer|scorer|share labelled|beyond another's label, points|beyond random directions, points", rows)


def _scorable(seen: Finding) -> str:
    rows = [[m.labels["latents"].replace("_", " "), shown(m), m.note] for m in seen.select("scorable")]
    return table("latents|fire often enough|", rows)


def _some_labels(seen: Finding) -> str:
    """Each labelled latent's statistic with its simulation score, best first."""
    texts = dict(example.removeprefix("latent ").split(": ", 1) for example in seen.examples)
    scored = [
        (m.value, [latent, texts[latent].split(" (ngrams)")[0].replace("|", "\\|"), shown(m, percent=False)])
        for m in seen.select("feature_score", explainer="ngrams", scorer="simulation")
        if (latent := m.labels["latent"]) in texts and m.value is not None
    ]
    return table("latent|label by token statistics|r on other texts", [row for _, row in sorted(scored, reverse=True)])


def puzzles(planted: Finding, published: Finding | None) -> None:
    """Solved shares by distractor, and of the published set."""
    rows = []
    for m in planted.select("solved", explainer="ngrams", scorer="simulation"):
        if "distractor" in m.labels:
            rows.append(_solved(f"distractor {m.labels['distractor']}", m))
    if published:
        rows.append(_solved("published", published.one("solved", explainer="ngrams", scorer="simulation")))
    drawn = [row for made in rows for row in made]
    draw(dots(drawn, "Share of puzzles solved by token statistics", width=380), "neuron_puzzles")
    sets = [("planted", planted), *([("published", published)] if published else [])]
    write("neuron_puzzles", "\n".join([_table(sets), _neurons(planted)]))


def _solved(group: str, m: Measurement) -> list[dict[str, object]]:
    base = {**_baseline(m.baseline, group), "series": "another puzzle's label"} if m.baseline else None
    return [point(m, group=group, series="its own label"), *([base] if base else [])]


def _table(sets: list[tuple[str, Finding]]) -> str:
    rows = []
    for name, seen in sets:
        for scorer in ("simulation", "detection"):
            solved, gain = (seen.select(n, explainer="ngrams", scorer=scorer) for n in ("solved", "solved_gain"))
            score = seen.select("label_score", explainer="ngrams", scorer=scorer)
            first = [next(m for m in part if "distractor" not in m.labels) for part in (score, solved, gain)]
            rows.append(
                [name, scorer, shown(first[0], percent=False), shown(first[1]), shown(first[2], sign=True), str(first[1].n)]
            )
    return table("puzzles|scorer|score|solved|beyond another's label, points|n", rows)


def _neurons(planted: Finding) -> str:
    """Each planted neuron's label by distractor, as the finding's examples have it."""
    scores = {m.labels["latent"]: m for m in planted.select("puzzle_score", explainer="ngrams")}
    rows = []
    for number, example in enumerate(planted.examples):
        head, label = example.split(" — ngrams: ")
        name, truth = head.split(": ", 1)
        rows.append([name.replace(", distractor ", "|"), truth, label, shown(scores[str(number)], percent=False)])
    return table("neuron|distractor|true explanation|label by token statistics|r", rows)


def _published(store: str, path: str) -> None:
    """Without the examples: the set is not ours to print."""
    with open_store(Path(store), Progress(), Budget()) as opened:
        bench = open_bench(opened, "smollm2", "refusal_patterns", None, seed=0)
        seen = measure(bench, PUZZLES, Config(puzzles=path)).finding
    PUBLISHED.write_text(seen.model_copy(update={"examples": ()}).to_json() + "\n", "utf-8")


if __name__ == "__main__":
    store = sys.argv[1] if len(sys.argv) > 1 else None
    if store and len(sys.argv) > 2:
        _published(store, sys.argv[2])
    published = Finding.from_json(PUBLISHED.read_text("utf-8")) if PUBLISHED.exists() else None
    puzzles(finding(PUZZLES, store), published)
    features(finding(FEATURES, store))
