"""The figures of the pages on circuits; types in no figure.

python docs/_generate/circuits.py STORE [NAME ...]    measure on the embedded model (STORE keeps the records), then draw
python docs/_generate/circuits.py                     draw again from docs/methods/<name>.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training_charts import PAGES, draw, lines, point, shown, table, write

from stepladder.core import Baseline, Finding, Measurement, Method, Record
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.methods.interpretability.activation_patching import METHOD as activation_patching
from stepladder.methods.interpretability.attribution_graph import METHOD as attribution_graph
from stepladder.methods.interpretability.induction_heads import METHOD as induction_heads
from stepladder.methods.interpretability.logit_lens import METHOD as logit_lens
from stepladder.report import charts
from stepladder.store import open_store


def main(arguments: Sequence[str]) -> None:
    """Measure those named (all by default) if a store is given; draw all that have been measured."""
    wanted = arguments[1:] or list(PARTS)
    for name in wanted:
        method, picture, page = PARTS[name]
        kept = PAGES / f"{name}.json"
        if arguments:
            record, finding = _measured(method, Path(arguments[0]))
            rows = {"finding": json.loads(finding.to_json()), "picture": picture(record.data)}
            kept.write_text(json.dumps(rows, separators=(",", ":")) + "\n", "utf-8")
        if kept.exists():
            seen = json.loads(kept.read_text("utf-8"))
            page(Finding.from_json(json.dumps(seen["finding"])), seen["picture"])


def _measured(method: Method, store: Path) -> tuple[Record, Finding]:
    with open_store(store, Progress(), Budget()) as opened:
        done = measure(open_bench(opened, "smollm2", "refusal_patterns", None, seed=0), method)
    return done.record, done.finding


# --- activation patching ---


def patching_picture(data: Mapping[str, Any]) -> dict[str, Any]:
    """Mean effect of every head, and of the stream by layer and token, as shares of the gap."""
    gap = sum(a - b for a, b in zip(data["clean"], data["corrupted"], strict=True))
    effects = {part[3]: sum(row) / gap for part, row in zip(data["parts"], data["effects"], strict=True)}
    named = {site: [part for part in data["parts"] if part[1] == site] for site in ("heads", "residual")}
    return {
        "heads": [[part[0], part[2], round(effects[part[3]], 4)] for part in named["heads"]],
        "stream": [[part[0], part[2], round(effects[part[3]], 4)] for part in named["residual"]],
        "tokens": data["tokens"],
    }


def patching_page(seen: Finding, picture: Mapping[str, Any]) -> None:
    """Heads as a map, the stream as a map, and the tables."""
    draw(heat(picture["heads"], "Head", "Layer", "Share of the gap restored"), "activation_patching")
    stream = [[layer, f"{token}:{picture['tokens'][token]}", value] for layer, token, value in picture["stream"]]
    draw(heat(stream, "Token", "After layer", "Share of the gap restored", row=24, column=44), "activation_patching_stream")
    rows = [[m.labels["kind"], m.labels["part"], shown(m, sign=True), _baseline(m)] for m in seen.select("patching_effect")]
    parts = table("kind|part|gap restored, points|mean of the others, points", rows)
    together = [
        ["patched together", shown(seen.one("restored_together"), sign=True), _baseline(seen.one("restored_together"))]
    ]
    together += [
        [f"{m.labels['with']}-ablated together", shown(m, sign=True), _baseline(m)] for m in seen.select("ablation_effect")
    ]
    groups = table("the named heads|share, points|as many random heads, points", together)
    paths = sorted(seen.select("path_effect"), key=lambda m: -abs(m.value or 0))[:8]
    traced = table(
        "from|to|gap restored, points|from random heads, points",
        [[m.labels["from"], m.labels["to"], shown(m, sign=True), _baseline(m)] for m in paths],
    )
    compared = [[m.labels["parts"], shown(m, percent=False), m.note] for m in seen.select("rank_correlation")]
    ranks = table("parts|Spearman correlation|cost", compared)
    write("activation_patching", "\n".join([_behaviour(seen), parts, groups, traced, ranks]))


def _behaviour(seen: Finding) -> str:
    rows = [[f"logit difference, {m.labels['prompt']}", shown(m, percent=False)] for m in seen.select("logit_difference")]
    rows.append(["both prompts right", shown(seen.one("both_prompts_right"))])
    return table("what the model does|", rows)


# --- induction heads ---


def induction_picture(data: Mapping[str, Any]) -> dict[str, Any]:
    """Mean prefix matching of every head."""
    columns = zip(*data["scores"]["matching"], strict=True)
    means = [round(sum(column) / len(column), 4) for column in columns]
    return {"heads": [[*map(int, name.split(".")), mean] for name, mean in zip(data["names"], means, strict=True)]}


def induction_page(seen: Finding, picture: Mapping[str, Any]) -> None:
    """The map, the best heads, and the ablation."""
    draw(heat(picture["heads"], "Head", "Layer", "Prefix matching"), "induction_heads")
    rows = []
    for m in seen.select("prefix_matching"):
        copying = seen.one("copying", head=m.labels["head"])
        rows.append([m.labels["head"], m.labels["named"], shown(m), _baseline(m, "%"), shown(copying)])
    heads = table("head|named|prefix matching|on permuted sequences|copying (chance 50%)", rows)
    losses = [["loss of the second segment less the first's", shown(seen.one("in_context_gain"), percent=False), "0"]]
    losses += [
        [f"named heads ablated, {m.labels['segment']} segment", shown(m, percent=False), _baseline(m, "", 1)]
        for m in seen.select("ablation_loss")
    ]
    costs = table("nats a token|change|as many random heads", losses)
    write("induction_heads", "\n".join([heads, costs, f"Named: {seen.one('heads_named').note}.\n"]))


# --- lenses ---


def no_picture(data: Mapping[str, Any]) -> dict[str, Any]:
    """The finding holds all that is drawn."""
    return {}


def lens_page(seen: Finding, picture: Mapping[str, Any]) -> None:
    """Divergence and loss by layer, with the best constant prediction."""
    for name, title, file in (
        ("divergence_from_final", "KL from the final distribution, nats", "logit_lens"),
        ("next_token_loss", "Next-token loss, nats", "logit_lens_loss"),
    ):
        curve = [m for m in seen.select(name) if "layer" in m.labels]
        rows = [point(m, series=f"{m.labels['lens']} lens", x=int(m.labels["layer"])) for m in curve]
        rows += [_flat(m, "mean prediction") for m in curve if m.labels["lens"] == "logit"]
        draw(lines(rows, "Layer", title, width=460), file)
    rows = []
    for gain in seen.select("tuning_gain"):
        layer = gain.labels["layer"]
        both = [seen.one("divergence_from_final", lens=lens, layer=layer) for lens in ("logit", "tuned")]
        rows.append([layer, *(shown(m, percent=False) for m in both), shown(gain, percent=False)])
    final = seen.one("next_token_loss", lens="final")
    text = f"The model's own loss: {shown(final, percent=False)}; the mean prediction's: {_baseline(final, '', 1)}.\n"
    write("logit_lens", table("layer|KL, logit lens|KL, tuned lens|gained by tuning", rows) + "\n" + text)


def _flat(m: Measurement, series: str) -> dict[str, Any]:
    value = m.baseline.value if m.baseline else None
    return {"value": value, "low": None, "high": None, "series": series, "x": int(m.labels["layer"])}


# --- attribution graphs ---


def graph_picture(data: Mapping[str, Any]) -> dict[str, Any]:
    """The first prompt's graph."""
    return dict(data["graphs"][0]["picture"])


def graph_page(seen: Finding, picture: Mapping[str, Any]) -> None:
    """The first prompt's graph, and the scores."""
    draw(graph(picture), "attribution_graph")
    rows = [[m.name.replace("_", " "), _percent(m), _percent(m.baseline), str(m.n)] for m in seen.measurements]
    write("attribution_graph", table("measurement|graph|random features|prompts", rows))


def graph(picture: Mapping[str, Any]) -> Any:
    """Tokens below, features by layer above the token they belong to, the target on top; thick edges carry more."""
    import altair as alt

    words, features = picture["words"], picture["features"]
    top = max((layer for layer, *_ in features), default=0) + 2
    answer, foil = picture["answers"]
    nodes = [{"x": i, "y": -1, "name": f"{word.strip()}", "kind": "token"} for i, word in enumerate(words)]
    nodes += [
        {"x": token + _shift(features, i), "y": layer, "name": str(index), "kind": "feature"}
        for i, (layer, token, index, _) in enumerate(features)
    ]
    nodes.append({"x": len(words) - 1, "y": top, "name": f"{answer.strip()} over {foil.strip()}", "kind": "target"})
    strongest = max(carried for *_, carried in picture["edges"])
    edges = []
    for row, column, weight, carried in picture["edges"]:
        start, end = nodes[column], nodes[-1] if row == 0 else nodes[len(words) + row - 1]
        where = {"x": start["x"], "y": start["y"], "x2": end["x"], "y2": end["y"]}
        edges.append(where | {"sign": "raises" if weight > 0 else "lowers", "w": carried / strongest})
    hue = alt.Color(
        "sign:N",
        title=None,
        scale=alt.Scale(domain=["raises", "lowers"], range=[charts.colour("after"), charts.colour("before")]),
    )
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.6, len(words) - 0.2]))
    y = alt.Y(
        "y:Q", title="Layer", axis=alt.Axis(values=list(range(0, top, 5)), grid=False), scale=alt.Scale(domain=[-3, top + 2])
    )
    edge = (
        alt.Chart(alt.InlineData(values=edges))
        .mark_rule(opacity=0.55)
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            color=hue,
            strokeWidth=alt.StrokeWidth("w:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.4, 5])),
        )
    )
    base = alt.Chart(alt.InlineData(values=nodes)).encode(x=x, y=y)
    dot = base.mark_circle(size=55, color=charts.colour("ink"), opacity=1).transform_filter("datum.kind != 'token'")
    below = (
        base.mark_text(dy=12, fontSize=12, color=charts.colour("ink"))
        .encode(text="name:N")
        .transform_filter("datum.kind == 'token'")
    )
    above = (
        base.mark_text(dy=-10, fontSize=12, align="right", color=charts.colour("ink"))
        .encode(text="name:N")
        .transform_filter("datum.kind == 'target'")
    )
    return alt.layer(edge, dot, below, above).properties(width=640, height=420)


def _shift(features: Sequence[Sequence[Any]], i: int) -> float:
    """Features of the same layer and token stand beside each other."""
    layer, token = features[i][:2]
    same = [j for j, other in enumerate(features) if other[0] == layer and other[1] == token]
    return 0.14 * (same.index(i) - (len(same) - 1) / 2)


# --- what they share ---


def heat(cells: Sequence[Sequence[Any]], x: str, y: str, title: str, row: int = 13, column: int = 30) -> Any:
    """A map of (layer, column, value): white is 0, blue above, orange below."""
    import altair as alt

    most = max(abs(value) for *_, value in cells)
    rows = [{"y": layer, "x": place, "value": value} for layer, place, value in cells]
    order = list(dict.fromkeys(r["x"] for r in rows))
    ends = [charts.colour("before"), "#ffffff", charts.colour("after")]
    signed = min(value for *_, value in cells) < 0
    domain = [-most, 0, most] if signed else [0, most]
    colours = alt.Scale(domain=domain, range=ends if signed else ends[1:], interpolate="rgb")
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_rect()
        .encode(
            x=alt.X("x:O", title=x, sort=order, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("y:O", title=y, sort="descending"),
            color=alt.Color("value:Q", title=title, scale=colours, legend=alt.Legend(titleLimit=0)),
        )
        .properties(width=alt.Step(column), height=alt.Step(row))
    )


def _percent(m: Measurement | Baseline | None) -> str:
    """In percent, with two decimals."""
    if m is None or m.value is None:
        return ""
    ends = f" [{100 * m.interval.low:.2f}, {100 * m.interval.high:.2f}]" if m.interval else ""
    return f"{100 * m.value:.2f}%{ends}"


def _baseline(m: Measurement, unit: str = "", scale: float = 100) -> str:
    if m.baseline is None or m.baseline.value is None:
        return ""
    digits = 2 if scale == 1 else 0
    low = m.baseline.interval
    ends = f" [{scale * low.low:.{digits}f}, {scale * low.high:.{digits}f}]" if low else ""
    return f"{scale * m.baseline.value:.{digits}f}{unit}{ends}"


Part = tuple[Method, Callable[[Mapping[str, Any]], dict[str, Any]], Callable[[Finding, Mapping[str, Any]], None]]
PARTS: dict[str, Part] = {
    "activation_patching": (activation_patching, patching_picture, patching_page),
    "induction_heads": (induction_heads, induction_picture, induction_page),
    "logit_lens": (logit_lens, no_picture, lens_page),
    "attribution_graph": (attribution_graph, graph_picture, graph_page),
}

if __name__ == "__main__":
    main(sys.argv[1:])
