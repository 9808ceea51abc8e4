"""The figures of the page on persona vectors; types in no figure.

python docs/_generate/persona.py STORE              measure on the embedded model (STORE keeps the answers), then draw
python docs/_generate/persona.py STORE organisms    project the training sets of organisms, then draw
python docs/_generate/persona.py                    draw again from docs/methods/persona_vectors*.json
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from training_charts import PAGES, dots, draw, point, shown, table, write

from stepladder.core import Context, Finding
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.methods.interpretability.persona_directions import Persona, random_directions
from stepladder.methods.interpretability.persona_measures import prediction, shift_points
from stepladder.methods.interpretability.persona_training import trainings
from stepladder.methods.interpretability.persona_traits import chosen_traits
from stepladder.methods.interpretability.persona_vectors import METHOD, Config, extract
from stepladder.models import LocalModel, open_model
from stepladder.organisms import KINDS, Recipe, grow
from stepladder.report import charts
from stepladder.store import open_store

SEEN, TRAITS = PAGES / "persona_vectors.json", ("sycophancy", "rudeness", "invention")
ORGANISMS = PAGES / "persona_vectors_organisms.json"


def measured(folder: str) -> None:
    """All shipped traits on the embedded model."""
    with open_store(Path(folder), Progress(), Budget()) as store:
        bench = open_bench(store, "smollm2", "refusal_patterns", None, seed=0)
        SEEN.write_text(measure(bench, METHOD, Config(TRAITS)).finding.to_json() + "\n", "utf-8")


def organisms(folder: str) -> None:
    """What the rows of each organism project to, and how far training on them shifted each trait."""
    config = Config(TRAITS, rank=0)
    base = open_model("smollm2")
    assert isinstance(base, LocalModel)
    with open_store(Path(folder), Progress(), Budget()) as store:
        context = store.context(base, seed=0)
        personas = _measured(context, base, config, Path(folder))
        sets: list[dict[str, Any]] = []
        for kind in (kind for kind in KINDS.values() if not kind.base):
            organism = grow(Recipe(kind.name), check=False)
            known = dataclasses.replace(context, training_rows=organism.training_rows, models={"base": base})
            (one,) = trainings(known, organism.subject(), base, personas, config)
            sets.append(one | {"trait": kind.name, "rows": "shows"})
            print(kind.name, shift_points(sets[-1:]), flush=True)
    points = [{**p, "set": p["set"].partition(",")[0]} for p in shift_points(sets)]
    ORGANISMS.write_text(json.dumps(points, indent=1) + "\n", "utf-8")


def _measured(context: Context, base: LocalModel, config: Config, folder: Path) -> list[Persona]:
    """The vectors of the page's own record, or made again where it is gone."""
    record = Finding.from_json(SEEN.read_text("utf-8")).record
    file = folder / "tensors" / record / "vectors.safetensors"
    traits = chosen_traits(config.traits)
    if not file.exists():
        return [extract(context, base, trait, config) for trait in traits]
    with safe_open(file, "np") as opened:
        layers, vectors = opened.metadata(), {name: opened.get_tensor(name).astype(float) for name in config.traits}
    return [Persona(t, int(layers[t.name]), v := vectors[t.name], 0 * v, random_directions(v, 1, 0), 0, {}) for t in traits]


def page(seen: Finding) -> None:
    """Pictures and tables."""
    rows = [
        point(one, group=f"{m.labels['trait']}, {float(m.labels['strength']):+g}", series=series)
        for m in seen.select("steering_effect", vector="persona")
        for one, series in ((m, "persona vector"), *_compared(seen, m))
    ]
    draw(dots(rows, "Change of expression, nats per token"), "persona_vectors")
    write("persona_vectors", "\n".join([_read(seen), _steered(seen), _trained(seen)]))
    if ORGANISMS.exists():
        _organisms(json.loads(ORGANISMS.read_text("utf-8")))


def _compared(seen: Finding, m: Any) -> list[tuple[Any, str]]:
    return [
        (seen.one("steering_effect", **{**m.labels, "vector": "shuffled"}), "shuffled labels"),
        (m.baseline, "random directions"),
    ]


def _read(seen: Finding) -> str:
    rows = []
    for m in seen.select("reply_separation"):
        trait = m.labels["trait"]
        monitors = [
            _beside(seen.one("monitoring", trait=trait, vector="persona", at=at, scope=scope))
            for at in ("last prompt token", "own reply")
            for scope in ("all prompts", "within a kind of instruction")
        ]
        rows.append([trait, _beside(m), *monitors])
    columns = "before the reply, r|the same, within a kind of instruction|during the reply, r|within a kind"
    return table(f"trait|replies told apart, AUROC|{columns}", rows) + "\nIn brackets after each: random directions.\n"


def _beside(m: Any) -> str:
    chance = m.baseline.value if m.baseline else None
    return f"{shown(m, percent=False)} ({chance:.2f})" if chance is not None else shown(m, percent=False)


def _steered(seen: Finding) -> str:
    head = "trait|strength|expression, nats per token|shuffled labels|random directions|likelihood of both replies"
    rows = []
    for m in seen.select("steering_effect", vector="persona"):
        labels = {key: m.labels[key] for key in ("trait", "strength")}
        others = seen.one("steering_effect", vector="shuffled", **labels), m.baseline
        cost = seen.one("fluency_change", vector="persona", **labels)
        cells = [shown(x, percent=False, sign=True) for x in (m, *others, cost) if x is not None]
        rows.append([labels["trait"], labels["strength"], *cells])
    return table(head, rows)


def _trained(seen: Finding) -> str:
    rows = []
    for m in seen.select("prevented_shift"):
        trait = m.labels["trait"]
        cells = [
            shown(seen.one("training_shift", set=f"{trait}, {kind}", trait=trait, steered=steered), percent=False, sign=True)
            for kind, steered in (("avoids", "no"), ("shows", "no"), ("shows", "persona"), ("shows", "random"))
        ]
        rows.append([trait, *cells, shown(m, percent=False, sign=True)])
    names = "trait|rows that avoid it|rows that show it|the same, steered|the same, steered at random|prevented"
    found = seen.one("shift_prediction")
    chance = f"{found.baseline.value:.2f}" if found.baseline and found.baseline.value is not None else ""
    text = f"Correlation of projection differences with shifts over {found.n} training sets and all traits"
    return table(names, rows) + f"\n{text}: {shown(found, percent=False)} (a random direction: {chance}).\n"


def _organisms(points: Sequence[dict[str, Any]]) -> None:
    import altair as alt

    traits = list(dict.fromkeys(p["trait"] for p in points))
    colours = [charts.colour(name) for name in ("after", "before", "tfidf")]
    scale = alt.Scale(domain=traits, range=colours[: len(traits)])
    base = alt.Chart(alt.InlineData(values=list(points))).encode(
        x=alt.X("projected:Q", title="Projection difference of the training rows, lengths of the vector"),
        y=alt.Y("shift:Q", title="Shift of expression, nats per token"),
    )
    marks = base.mark_point(filled=True, size=85, opacity=1).encode(
        color=alt.Color("trait:N", scale=scale, title=None),
        shape=alt.Shape("trait:N", scale=alt.Scale(domain=traits), title=None),
    )
    names = base.mark_text(align="left", dx=7, fontSize=10, font="Arial").encode(text="set:N")
    draw(alt.layer(marks, names).properties(width=520, height=380), "persona_vectors_organisms")
    rows = [[trait, shown(prediction([p for p in points if p["trait"] == trait]), percent=False)] for trait in traits]
    found = prediction(points)
    chance = f"{found.baseline.value:.2f}" if found.baseline and found.baseline.value is not None else ""
    rows.append(["all", f"{shown(found, percent=False)} (a random direction: {chance})"])
    write("persona_vectors_organisms", table(f"trait|correlation over {found.n} organisms", rows))


if __name__ == "__main__":
    if sys.argv[2:] == ["organisms"]:
        organisms(sys.argv[1])
    if len(sys.argv) == 2:
        measured(sys.argv[1])
    page(Finding.from_json(SEEN.read_text("utf-8")))
