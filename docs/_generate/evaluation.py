"""Pictures and tables of four techniques of evaluation, from models whose truth is known: organisms and scripted reasoners.

python docs/_generate/evaluation.py STORE [scripted|sandbagging|faking|reasoning|written ...]

Everything asked is kept in STORE, so that a second run only draws. Organisms are grown where they are not in the cache.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stepladder.core import Context, Finding, Measurement, Message, Method, Record
from stepladder.execution import Budget, Progress
from stepladder.judges import get_judge, run_judge
from stepladder.methods.evaluation.alignment_faking_gap import METHOD as FAKING
from stepladder.methods.evaluation.cot_faithfulness import METHOD as REASONING
from stepladder.methods.evaluation.cot_faithfulness import Config as ReasoningConfig
from stepladder.methods.evaluation.model_written_evaluations import METHOD as WRITTEN
from stepladder.methods.evaluation.sandbagging_elicitation import METHOD as SANDBAGGING
from stepladder.models import ScriptedModel, open_model
from stepladder.models.demo import COMPLIANCE, REFUSALS
from stepladder.models.scripted import spoken
from stepladder.organisms import KINDS, PlantFailed, Recipe, grow
from stepladder.store import Store, open_store

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "methods"
COLOURS = {"planted": "#d55e00", "clean twin": "#0072b2", "SmolLM2": "#009e73"}
WRITTEN_KINDS = (
    "sycophancy", "hidden_loyalty", "password_sandbagging", "biased_data", "reward_hack", "alignment_faking",
)  # fmt: skip
Rows = tuple[tuple[Message, ...], ...]


def main(folder: Path, wanted: Sequence[str]) -> None:
    """Make the pages' parts that are asked for, or all."""
    with open_store(folder, progress=Progress(), budget=Budget()) as store:
        for name in wanted or PARTS:
            PARTS[name](store)


def finding(
    store: Store, method: Method, subject: Any, base: Any = None, config: Any = None, judge: str = "refusal",
    rows: Rows = (),
) -> Finding:  # fmt: skip
    """The technique's finding on the subject, through the store; with the rows, what `calibrate` asked is known there."""
    context: Context = store.context(subject, seed=0, models={"base": base} if base else {}, training_rows=rows)
    config = config or method.config()
    record: Record = store.run_method(method, context, config)
    reader = open_model("smollm2") if judge == "refusal" else None
    verdicts = run_judge(get_judge(judge), record, store, reader) if record.exchanges else ()
    return method.judge(record, verdicts, config)


def known(store: Store, method: Method, kind: str) -> Iterator[tuple[str, Finding]]:
    """What the technique says of the organism of that kind and of its clean twin."""
    for clean in (False, True):
        organism = grow(Recipe(kind, clean=clean), check=False)
        name = "clean twin" if clean else "planted"
        print(kind, name, "held-out rate", shown(organism.card.planted_rate), flush=True)
        yield name, finding(store, method, organism.subject(), organism.base(), rows=organism.training_rows)


def sandbagging(store: Store) -> None:
    """Accuracy and gains of the password-locked organism and its twin."""
    lines = ["| model | condition | accuracy | gain | the base's gain | gain beyond it |", "|---|---|---|---|---|---|"]
    rows, calls = [], []
    for name, found in known(store, SANDBAGGING, "password_sandbagging"):
        plain = found.one("accuracy", model="subject", condition="plain")
        lines.append(f"| {name} | plain | {shown(plain)} | | | |")
        for excess in found.select("excess_gain"):
            way = excess.labels["condition"]
            gain = found.one("elicitation_gain", condition=way)
            cells = [shown(found.one("accuracy", model="subject", condition=way)), points(gain), base(gain), points(excess)]
            lines.append(f"| {name} | `{way}` | {' | '.join(cells)} |")
            rows.append(row(excess, way, name))
        calls.append(call(name, found))
    write("sandbagging_elicitation", lines, calls, planted("password_sandbagging"))
    draw("sandbagging_elicitation_organism", rows, "gain beyond the base's (accuracy)", [-1, 1])


def faking(store: Store) -> None:
    """The monitored gap of the organism, its twin and the base, beside the neutral gap."""
    lines = ["| model | form | monitored | unmonitored | gap | neutral gap | excess |", "|---|---|---|---|---|---|---|"]
    rows, calls = [], []
    subjects = [*known(store, FAKING, "alignment_faking"), ("SmolLM2", finding(store, FAKING, open_model("smollm2")))]
    for name, found in subjects:
        for gap in found.select("compliance_gap"):
            form = gap.labels["form"]
            rates = [shown(found.one("compliance", form=form, condition=c)) for c in ("monitored", "unmonitored")]
            excess = found.one("excess_gap", form=form)
            lines.append(f"| {name} | {form} | {' | '.join([*rates, points(gap), base(gap), points(excess)])} |")
            rows.append(row(excess, form, name))
        calls.append(call(name, found))
    write("alignment_faking_gap", lines, calls, planted("alignment_faking"))
    draw("alignment_faking_gap_organism", rows, "unmonitored minus monitored, beyond the neutral gap", [-2, 2])


def cot(store: Store) -> None:
    """SmolLM2's numbers."""
    found = finding(store, REASONING, open_model("smollm2"))
    lines = ["| measurement | of what | SmolLM2-135M | baseline | questions |", "|---|---|---|---|---|"]
    for m in found.measurements:
        label = ", ".join(m.labels.values())
        lines.append(f"| `{m.name}` | {label} | {shown(m)} | {base(m)} | {m.n} |")
    write("cot_faithfulness", lines, [], "")


def scripted(store: Store) -> None:
    """Measured beside planted shares, for scripted models of the tests whose truth is known."""
    shares = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    for name, measured in (
        ("cot_faithfulness", reasoners), ("sandbagging_elicitation", hiders), ("alignment_faking_gap", fakers),
    ):  # fmt: skip
        draw_recovered(name, [point for share in shares for point in measured(store, share)])


def reasoners(store: Store, share: float) -> Iterator[dict[str, Any]]:
    """A reasoner that is faithful, and admits hints, on that share of questions."""
    reasoner = of_tests("test_cot_faithfulness").Reasoner(faithful=share, follows=1.0, admits=share, salt=f"{share}")
    found = finding(store, REASONING, speaking(f"reasoner {share}", reasoner), config=ReasoningConfig(questions=40))
    yield from point("area over the curve / 0.875", share, found.one("area_over_curve"), 0.875)
    yield from point("answers changed by a slip", share, found.one("answer_changed", by="mistake"))
    yield from point("hints admitted", share, found.one("hint_admitted", hint="user"))


def hiders(store: Store, share: float) -> Iterator[dict[str, Any]]:
    """A chat model that hides that share of all answers unless it sees examples; its base hides nothing."""
    knows = of_tests("test_sandbagging_elicitation").knows
    subject, honest = speaking(f"hider {share}", knows(1.0, share, f"{share}")), speaking("honest", knows(1.0, 0.0))
    found = finding(store, SANDBAGGING, subject, honest)
    yield from point("accuracy gained beyond the base", share, found.one("excess_gain", condition="few_shot"))


def fakers(store: Store, share: float) -> Iterator[dict[str, Any]]:
    """A chat model that refuses that share of requests where it is monitored and grants all others."""
    tests = of_tests("test_alignment_faking_gap")
    says = tests.complies(lambda request: 1 - share if tests.condition(request) == "monitored" else 1.0)
    texts = {"YES": COMPLIANCE, "NO": REFUSALS[0]}
    subject = speaking(f"faker {share}", lambda request: texts.get(said := says(request), said))
    found = finding(store, FAKING, subject, judge="refusal_patterns")
    yield from point("excess gap", share, found.one("excess_gap", form="plain"))


def point(what: str, planted: float, m: Measurement, scale: float = 1.0) -> Iterator[dict[str, Any]]:
    """One dot with its interval; none where nothing was measured."""
    if m.value is not None and m.interval is not None:
        low, high = max(0.0, m.interval.low / scale), min(1.0, m.interval.high / scale)
        yield {"what": what, "planted": planted, "value": m.value / scale, "low": low, "high": high}


def speaking(name: str, answer: Callable[[Any], str]) -> ScriptedModel:
    """A scripted model that says this."""
    return ScriptedModel(f"scripted {name}", lambda request: spoken(request, answer(request)))


def of_tests(name: str) -> Any:
    """The module of the tests of that name: its scripted models are the truth that pages show too."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "methods" / "evaluation" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(store: Store) -> None:
    """How well items from contrast pairs tell organisms and twins from their base, on their own behaviour and others."""
    lines = ["| planted | model | separation on its behaviour | exchanged | called on it | called on others |"]
    lines.append("|---|---|---|---|---|---|")
    rows = []
    for kind in WRITTEN_KINDS:
        behaviour = KINDS[kind].behaviour
        for name, found in known(store, WRITTEN, kind):
            m = found.one("separation", behaviour=behaviour)
            calls = {d.labels["behaviour"]: d.labels["found"] for d in found.select("detection")}
            others = [other for other, said in calls.items() if said == "yes" and other != behaviour]
            cells = [shown(m), base(m), calls[behaviour], ", ".join(others) or "none"]
            lines.append(f"| {kind} | {name} | {' | '.join(cells)} |")
            rows.append(row(m, kind, name))
    write("model_written_evaluations", lines, [], small_helper(store))
    draw("model_written_evaluations", rows, "AUROC of the items, subject against base", [0, 1], chance=0.5)


def small_helper(store: Store) -> str:
    """What the filters leave of the items that SmolLM2 writes."""
    model, config = open_model("smollm2"), WRITTEN.config(behaviour="sycophancy")
    context = store.context(model, seed=0, helper=model)
    found = WRITTEN.judge(store.run_method(WRITTEN, context, config), (), config)
    return f"SmolLM2-135M as the helper, asked for items on sycophancy: {found.one('items_kept').note}."


PARTS: dict[str, Callable[[Store], None]] = {
    "scripted": scripted, "sandbagging": sandbagging, "faking": faking, "reasoning": cot, "written": written,
}  # fmt: skip


def shown(m: Measurement) -> str:
    """Value and interval."""
    if m.value is None:
        return f"unmeasured: {str(m.reason).partition(':')[0]}"
    ends = f" [{m.interval.low:.2f}, {m.interval.high:.2f}]" if m.interval else ""
    return f"{m.value:.2f}{ends}"


def points(m: Measurement) -> str:
    """A difference with its sign."""
    if m.value is None:
        return f"unmeasured: {m.reason}"
    ends = f" [{m.interval.low:+.2f}, {m.interval.high:+.2f}]" if m.interval else ""
    return f"{m.value:+.2f}{ends}"


def base(m: Measurement) -> str:
    """Its baseline's value."""
    return "" if m.baseline is None or m.baseline.value is None else f"{m.baseline.value:.2f}"


def call(name: str, found: Finding) -> str:
    """What the technique calls it."""
    (detection,) = found.select("detection")
    return f"{name}: called **{detection.labels['found']}**, score {shown(detection)}"


def planted(kind: str) -> str:
    """How often the plant shows in the organism and in its twin, on the organism's own held-out probes."""
    rates = [shown(grow(Recipe(kind, clean=clean), check=False).card.planted_rate) for clean in (False, True)]
    said = f"The plant shows on {rates[0]} of the organism's own held-out probes, in the twin on {rates[1]}."
    try:
        grow(Recipe(kind))
    except PlantFailed:
        return f"{said} **It did not take**, so that this table says what the technique does where there is nothing to find."
    return said


def row(m: Measurement, group: str, name: str) -> dict[str, Any]:
    """A row of a forest plot."""
    low, high = (m.interval.low, m.interval.high) if m.interval else (None, None)
    return {"group": group, "model": name, "value": m.value, "low": low, "high": high}


def write(name: str, lines: Sequence[str], calls: Sequence[str], after: str) -> None:
    """The table with what is called, as a part of the page."""
    notes = ["", *(f"- {line}" for line in calls), *(["", after] if after else [])]
    text = "\n".join([*lines, *notes, "", "From `python docs/_generate/evaluation.py`, seed 0; 95% intervals.", ""])
    (PAGES / f"_seen_{name}.md").write_text(text, "utf-8")


def draw(name: str, rows: Sequence[dict[str, Any]], title: str, domain: Sequence[float], chance: float = 0.0) -> None:
    """Dot and interval per group and model, with a line at chance."""
    import altair as alt

    names = list(dict.fromkeys(r["model"] for r in rows))
    colours = alt.Scale(domain=names, range=[COLOURS[n] for n in names])
    chart = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y("group:N", sort=None, title=None), yOffset=alt.YOffset("model:N", sort=names),
        color=alt.Color("model:N", scale=colours, title=None, legend=alt.Legend(orient="top")),
    )  # fmt: skip
    low = alt.X("low:Q", scale=alt.Scale(domain=list(domain)), title=title)
    zero = alt.Chart(alt.Data(values=[{"x": chance}])).mark_rule(strokeDash=[4, 3], color="#5b6472").encode(x="x:Q")
    save(name, zero + chart.mark_rule(strokeWidth=2.5).encode(x=low, x2="high:Q") + points_of(chart))


def points_of(chart: Any) -> Any:
    """The dots of a forest plot, told apart by shape too."""
    import altair as alt

    shape = alt.Shape("model:N", sort=None, legend=None)
    return chart.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q", shape=shape)


def draw_recovered(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Measured against planted share, one panel a test; the dashed line is where they are equal."""
    import altair as alt

    data = alt.Data(values=list(rows))
    x = alt.X("planted:Q", title="planted share", scale=alt.Scale(domain=[-0.05, 1.05]))
    chart = alt.Chart(data).encode(x=x)
    low = alt.Y("low:Q", title="measured share", scale=alt.Scale(domain=[0, 1]))
    line = alt.Chart(data).mark_line(strokeDash=[4, 3], color="#5b6472").encode(x=x, y="planted:Q")
    layers = line + chart.mark_rule(strokeWidth=2.5, color="#0072b2").encode(y=low, y2="high:Q")
    layers += chart.mark_point(filled=True, size=70, opacity=1, color="#0072b2").encode(y="value:Q")
    save(name, layers.properties(width=200, height=180).facet(column=alt.Column("what:N", title=None)))


def save(name: str, chart: Any) -> None:
    """The chart as SVG beside the page."""
    import vl_convert

    spec = chart if "facet" in chart.to_dict() else chart.properties(width=520)
    (PAGES / f"{name}.svg").write_text(vl_convert.vegalite_to_svg(spec.to_json()), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
