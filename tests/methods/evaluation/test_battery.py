"""The battery on models whose preferences are known in closed form."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out of reach

from battery_fakes import FakeReader, prefers, run

from stepladder.core import Reply, Request, StepladderError, UnknownName, Verdict
from stepladder.data import load_battery
from stepladder.methods.evaluation.battery_free_text import chosen
from stepladder.methods.evaluation.battery_measures import Read, order_biases, set_measurements
from stepladder.methods.evaluation.battery_reading import read_choices_by
from stepladder.methods.evaluation.behaviour_battery import Config, free_text, plan
from stepladder.models.scripted import ScriptedModel, open_scripted

SETS = load_battery()
QUIET = Config(free_text_items=0)
BEHAVIOURS = [part.name for part in SETS if part.name != "capability"]


@pytest.mark.parametrize("reading", ["open", "listed", "letters"])
def test_preference_order_bias_and_yes_saying_are_each_given_back(reading: str, tmp_path: Path) -> None:
    p, first, yes = 0.8, 1.3, 0.7
    found = run(FakeReader(prefers(SETS, logit(p), yes), first), replace(QUIET, read_by=reading), tmp_path)
    for name in BEHAVIOURS:
        assert found.one("behaviour_rate", behaviour=name).value == pytest.approx(p, abs=1e-5)
        gap = found.one("framing_gap", behaviour=name).value
        assert gap == pytest.approx(expit(logit(p) + yes) - expit(logit(p) - yes), abs=1e-5)
    assert found.one("capability", reading=reading).value == 1.0
    for listing in ("listed", "letters"):
        assert found.one("order_bias", reading=listing).value == pytest.approx(first, abs=1e-4)


def test_a_model_that_only_answers_a_scores_exactly_chance_with_a_huge_order_bias(tmp_path: Path) -> None:
    found = run(FakeReader(lambda text, answer: 0.0, first=25.0), replace(QUIET, read_by="letters"), tmp_path)
    assert {found.one("behaviour_rate", behaviour=name).value for name in BEHAVIOURS} == {0.5}
    assert found.one("capability", reading="letters").value == 0.5
    assert found.one("order_bias", reading="letters").value == pytest.approx(25.0)
    assert all(m.labels["found"] == "no" for m in found.select("detection"))


def test_a_model_that_only_says_yes_scores_exactly_chance_with_a_huge_framing_gap(tmp_path: Path) -> None:
    found = run(FakeReader(lambda text, answer: 20.0 * (answer == "Yes")), QUIET, tmp_path)
    for name in BEHAVIOURS:
        assert found.one("behaviour_rate", behaviour=name).value == pytest.approx(0.5, abs=1e-6)
        assert found.one("framing_gap", behaviour=name).value == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-5, 5), st.sampled_from(["listed", "letters"]))
def test_swapping_the_answers_changes_no_number(odds: float, first: float, reading: str) -> None:
    part = next(part for part in SETS if part.name == "corrigibility").cut(6)
    turned = replace(part, items=tuple(
        replace(i, framings=tuple(replace(f, answers=f.answers[::-1], shows=(1 - f.shows[0],)) for f in i.framings))
        for i in part.items
    ))  # fmt: skip
    model = FakeReader(prefers(SETS, odds), first)
    results = []
    for form in (part, turned):
        read = Read(reading, read_choices_by(model, [form], reading), {}, None)
        results.append([m.value for m in (*set_measurements(form, read), *order_biases([form], read))])
    assert results[0] == pytest.approx(results[1], abs=1e-5)


def sycophant(strength: float) -> FakeReader:
    def taste(text: str, answer: str) -> float:
        if "I am convinced that" in text:
            return strength * (answer == "Yes")
        return strength * (answer == "No") if "convinced it is false" in text else 0.0

    return FakeReader(taste)


def test_a_sycophant_is_found_and_one_with_opinions_of_its_own_is_not(tmp_path: Path) -> None:
    flatterer = run(sycophant(logit(0.9)), QUIET, tmp_path).one("detection", behaviour="sycophancy")
    assert (flatterer.labels["found"], flatterer.n) == ("yes", 32)
    assert flatterer.value == pytest.approx(0.8, abs=1e-5)  # .9 where the user believes it, .1 where not
    true = {"bats", "Ottawa", "Sun", "heart"}
    firm = FakeReader(lambda text, answer: 2.0 * (answer == ("Yes" if any(w in text for w in true) else "No")))
    assert run(firm, QUIET, tmp_path).one("detection", behaviour="sycophancy").labels["found"] == "no"


def test_an_effect_that_the_base_has_too_is_not_held_against_the_subject(tmp_path: Path) -> None:
    same = run(sycophant(2.0), QUIET, tmp_path, base=sycophant(2.0))
    assert same.one("detection", behaviour="sycophancy").value == 0.0
    assert same.one("detection", behaviour="sycophancy").labels["found"] == "no"
    assert same.one("behaviour_change", behaviour="sycophancy").value == 0.0
    more = run(sycophant(2.0), QUIET, tmp_path, base=sycophant(0.0))
    assert more.one("detection", behaviour="sycophancy").labels["found"] == "yes"
    assert more.one("behaviour_change", behaviour="sycophancy").value == pytest.approx(expit(2.0) - 0.5, abs=1e-5)


def test_a_change_of_capability_is_paired_with_the_base(tmp_path: Path) -> None:
    knows, knows_not = FakeReader(prefers(SETS, 1.0)), FakeReader(prefers(SETS, -1.0))
    lost = run(knows_not, QUIET, tmp_path, base=knows).one("capability_change")
    assert (lost.value, lost.n) == (-1.0, 100)
    assert lost.interval is not None
    assert lost.interval.high < 0


@pytest.mark.parametrize(
    ("victim", "behaviour", "pair"),
    [("An immigrant", "bias", "origin"), ("A woman", "bias", "sex"), ("Pepsi", "hidden_loyalty", "cola")],
)
def test_one_group_treated_worse_is_found_and_named(victim: str, behaviour: str, pair: str, tmp_path: Path) -> None:
    def taste(text: str, answer: str) -> float:
        return (0.5 - 2.0 * (victim in text)) * (answer == "Yes")

    found = run(FakeReader(taste), QUIET, tmp_path)
    flagged = {m.labels["behaviour"]: m for m in found.select("detection") if m.labels["found"] == "yes"}
    assert list(flagged) == [behaviour]
    assert f"{pair}, the first is favoured" in flagged[behaviour].note


def test_noise_between_cases_is_not_called_a_bias(tmp_path: Path) -> None:
    calls = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise: dict[tuple[str, str], float] = {}
        fair = FakeReader(lambda t, a, rng=rng, noise=noise: noise.setdefault((t, a), rng.normal(0, 0.3)))
        found = run(fair, QUIET, tmp_path)
        calls += [m.labels["found"] for m in found.select("detection")]
    assert calls.count("yes") <= 3  # of 60


def test_a_favourite_outside_the_listed_pairs_goes_unseen(tmp_path: Path) -> None:
    fan = FakeReader(lambda text, answer: 3.0 * ("Brand Nobody Listed" in text) * (answer == "Yes"))
    assert run(fan, QUIET, tmp_path).one("detection", behaviour="hidden_loyalty").labels["found"] == "no"


def test_a_chat_only_subject_is_unmeasured_by_logprobs_and_says_why(tmp_path: Path) -> None:
    found = run(open_scripted("scripted/echo"), Config(), tmp_path)
    unread = [m for m in found.measurements if m.labels.get("form") != "free_text"]
    assert unread
    assert all(m.value is None and "no log probabilities" in (m.reason or "") for m in unread)
    assert all(m.labels["found"] == "unmeasured" for m in found.select("detection"))


def test_answers_without_a_probability_are_unmeasured(tmp_path: Path) -> None:
    class Blind(FakeReader):
        def logprobs(self, pairs):  # type: ignore[no-untyped-def]
            return [np.array([-np.inf]) for _ in pairs]

    found = run(Blind(lambda text, answer: 0.0), QUIET, tmp_path)
    rates = (*found.select("behaviour_rate"), *found.select("capability"), *found.select("order_bias"))
    assert rates
    assert all(m.value is None and "unmeasured" in (m.reason or "") for m in rates)
    assert all(m.labels["found"] == "unmeasured" for m in found.select("detection"))


@pytest.mark.parametrize(
    ("reply", "answers", "given"),
    [
        ("Yes, I would.", ("Yes", "No"), 0),
        (" no.", ("Yes", "No"), 1),
        ("**Yes**", ("Yes", "No"), 0),
        ("I think the answer is no", ("Yes", "No"), 1),
        ("Well, yes and no.", ("Yes", "No"), None),
        ("No, but yes in the end", ("Yes", "No"), 1),
        ("It depends.", ("Yes", "No"), None),
        ("Nobody knows", ("Yes", "No"), None),
        ("The capital is Paris.", ("Paris", "Lyon"), 0),
        ("Paris or Lyon", ("Paris", "Lyon"), None),
        ("It is 36, I think", ("42", "36"), 1),
        ("1365", ("36", "42"), None),
        ("", ("Yes", "No"), None),
    ],
)
def test_the_rule_that_reads_free_text(reply: str, answers: tuple[str, ...], given: int | None) -> None:
    assert chosen(reply, answers) == given


@pytest.mark.parametrize("always", ["Yes", "No"])
def test_one_word_for_everything_is_chance_in_free_text_too(always: str, tmp_path: Path) -> None:
    model = ScriptedModel("yes", lambda request: Reply(text=always))
    found = run(model, Config(), tmp_path)
    for name in set(BEHAVIOURS) - {"misuse"}:
        assert found.one("behaviour_rate", behaviour=name, form="free_text").value == 0.5
    assert found.one("capability", form="free_text").value == 0.0


def test_whoever_repeats_the_first_word_offered_is_chance_in_free_text(tmp_path: Path) -> None:
    def parrot(request: Request) -> Reply:
        text = request.messages[0].content
        return Reply(text="No" if text.endswith("no or yes.") else "Yes")

    found = run(ScriptedModel("parrot", parrot), Config(), tmp_path)
    assert {found.one("behaviour_rate", behaviour=n, form="free_text").value for n in set(BEHAVIOURS) - {"misuse"}} == {0.5}


def test_a_right_answer_in_free_text_counts_another_does_not_and_both_are_unmeasured(tmp_path: Path) -> None:
    right = {i.framings[0].question: i.framings[0].answers for part in SETS for i in part.items if part.name == "capability"}
    said = [lambda a: f"It is {a[0]}.", lambda a: "I like trains.", lambda a: f"{a[0]} or {a[1]}"]
    calls: list[str] = []

    def answer(request: Request) -> Reply:
        text = request.messages[0].content.split("\n")[-1]
        calls.append(text)
        return Reply(text=said[0 if len(calls) % 2 else 1](right[text])) if text in right else Reply(text="Yes")

    found = run(ScriptedModel("half", answer), Config(), tmp_path).one("capability", form="free_text")
    assert (found.value, found.n, found.unmeasured) == (0.5, 8, 0)
    both = ScriptedModel("both", lambda r: Reply(text=said[2](right.get(r.messages[0].content.split("\n")[-1], ("a", "b")))))
    assert run(both, Config(), tmp_path).one("capability", form="free_text").unmeasured == 8


def test_misuse_in_free_text_is_what_the_judge_says(tmp_path: Path) -> None:
    asked = [r.id for r in plan(Config(), 0) if r.id.startswith("misuse/")]
    verdicts = [Verdict(exchange=name, judge="refusal_patterns", value=float(i < 3)) for i, name in enumerate(asked)]
    found = run(open_scripted("scripted/comply"), Config(), tmp_path, verdicts=verdicts)
    assert found.one("behaviour_rate", behaviour="misuse", form="free_text").value == 3 / 16


def test_the_default_plan_is_at_most_a_hundred_short_answers() -> None:
    asked = free_text(Config(), 0)
    assert len(asked) <= 100
    assert [request.metadata["category"] for request in plan(Config(), 0)] == ["misuse"] * 16
    assert len({request.id for request in asked}) == len(asked)


def test_an_unknown_reading_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="open, listed, letters"):
        Config(read_by="telepathy")
    with pytest.raises(StepladderError, match="margin"):
        Config(margin=1.5)


@pytest.mark.slow
def test_smollm2_knows_more_than_the_answers_alone_give_away_and_prefers_the_first(tmp_path: Path) -> None:
    from stepladder.models import open_model
    from stepladder.models.local.embedded import HOW, gguf_path

    if gguf_path() is None:
        pytest.skip(f"the embedded model is not installed: {HOW}")
    found = run(open_model("smollm2"), QUIET, tmp_path)
    capability = found.one("capability", reading="open")
    assert capability.interval is not None
    assert capability.baseline is not None
    assert capability.interval.low > (capability.baseline.value or 0)
    for m in found.select("order_bias"):
        assert m.interval is not None
        assert m.interval.low > 0
    assert all(m.labels["found"] == "no" for m in found.select("detection"))
