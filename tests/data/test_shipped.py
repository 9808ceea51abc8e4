"""What ships with the package is what the first reader of a report sees: checked by rules that a person would apply."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from stepladder.data import (
    MARKER,
    NearDuplicates,
    load_behaviours,
    load_constitution,
    load_ordinary,
    load_policy,
    load_templates,
    synthesize_prompts,
)
from stepladder.data.synthesis import _prompts

BEHAVIOURS = load_behaviours()
TEXTS = [text for b in BEHAVIOURS for text in (b.request, b.twin or "")]
# fmt: off
VERBS = {
    "advise", "argue", "check", "coach", "compile", "compose", "convince", "correct", "count", "counterfeit",
    "create", "describe", "design", "draft", "draw", "empty", "encourage", "explain", "fake", "find", "forge",
    "glorify", "identify", "invent", "list", "make", "organise", "outline", "persuade", "plan", "praise", "publish",
    "recommend", "recruit", "script", "set", "show", "spread", "suggest", "summarise", "talk", "tell", "threaten",
    "witness", "write",
}
# fmt: on


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def shared(a: str, b: str) -> float:
    return len(words(a) & words(b)) / len(words(a) | words(b))


def test_there_are_twelve_categories_of_ten_behaviours() -> None:
    assert Counter(b.category for b in BEHAVIOURS) == dict.fromkeys((c.id for c in load_constitution().categories), 10)
    assert len(load_constitution().categories) == 12


@pytest.mark.parametrize("text", TEXTS)
def test_every_request_is_one_imperative_sentence_without_a_full_stop(text: str) -> None:
    assert text.split()[0].lower() in VERBS
    assert text[0].isupper()
    assert re.fullmatch(r"[A-Za-z' -]+", text), "letters only: no digits, names of agents, second sentences or full stops"
    assert 4 <= len(text.split()) <= 20
    assert not words(text) & {"i", "me", "my", "we", "us", "our", "you", "your"}


def test_every_behaviour_has_a_different_twin_that_shares_its_words_and_form() -> None:
    for b in BEHAVIOURS:
        assert b.twin
        assert b.twin != b.request
        assert len(words(b.request) & words(b.twin)) / len(words(b.request)) >= 0.35, b
        assert 0.5 <= len(b.twin.split()) / len(b.request.split()) <= 2, b


def test_no_two_shipped_requests_are_the_same_and_no_two_behaviours_nearly_so() -> None:
    ordinary = [o.text for o in load_ordinary()]
    assert len({text.casefold() for text in TEXTS + ordinary}) == 240 + 200
    assert len({b.id for b in BEHAVIOURS}) == 120
    seen = NearDuplicates()
    assert all(seen.add(b.request) for b in BEHAVIOURS)
    assert all(seen.add(text) for text in ordinary)


def test_there_are_two_hundred_ordinary_requests_on_many_topics() -> None:
    topics = Counter(o.id.rsplit("-", 1)[0] for o in load_ordinary())
    assert sum(topics.values()) == 200
    assert len(topics) >= 15
    assert max(topics.values()) <= 20


def test_templates_have_the_marker_and_keep_the_request_word_for_word() -> None:
    templates = load_templates()
    assert 8 <= len(templates) <= 10
    for template in templates:
        filled = template.fill("Fold a paper crane")
        assert "Fold a paper crane" in filled
        assert MARKER not in filled
        assert template.text.count(MARKER) == 1


def test_the_shipped_policy_bounds_harm_from_above_and_what_must_be_kept_from_below() -> None:
    gates = [gate for gate in load_policy().gates if gate.bound == "upper"]
    assert {(g.measurement, g.labels.get("kind", g.labels.get("family"))) for g in gates} == {
        ("attack_success_rate", "all"),
        ("over_refusal", "ordinary"),
        ("over_refusal", "twin"),
    }
    assert all(0 < g.limit < 1 and g.labels["condition"] == "after" for g in gates)
    kept = {gate.measurement: gate.limit for gate in load_policy().gates if gate.bound == "lower"}
    assert kept.keys() == {"capability_change", "trust"}
    assert kept["capability_change"] < 0 < 0.5 < kept["trust"]


def test_nothing_the_constitution_can_generate_comes_near_a_shipped_behaviour_or_twin() -> None:
    """Every filling of every template, not a sample: training data made from it cannot hold the test's behaviours."""
    seen = NearDuplicates()
    for text in TEXTS:
        seen.add(text)
    rng = random.Random(0)
    everything = [
        prompt.text
        for category in load_constitution().categories
        for harmful in (True, False)
        for prompt in _prompts(category, harmful, rng)
    ]
    assert len(everything) > 20_000
    assert max(map(seen.nearest, everything)) < 0.25


@pytest.mark.parametrize("harmful", [True, False])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_thousand_distinct_prompts_of_either_sort_come_from_the_shipped_constitution(harmful: bool, seed: int) -> None:
    prompts = synthesize_prompts(load_constitution(), 1000, seed, harmful)
    assert len({p.text for p in prompts}) == 1000
    assert {p.harmful for p in prompts} == {harmful}
    counts = Counter(p.category for p in prompts)
    assert len(counts) == 12
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {p.origin for p in prompts} == {"example", "template"}


def test_harmful_and_harmless_prompts_of_the_constitution_are_never_nearly_the_same() -> None:
    seen = NearDuplicates()
    for prompt in synthesize_prompts(load_constitution(), 1000, 0, harmful=True):
        seen.add(prompt.text)
    rates = [seen.nearest(p.text) for p in synthesize_prompts(load_constitution(), 1000, 0, harmful=False)]
    assert max(rates) < 0.75
    assert sum(rate >= 0.5 for rate in rates) <= 20


def test_words_of_the_forms_tell_nothing_about_harm() -> None:
    """A form is put around harmful and harmless prompts alike, so its share in both is the same but for chance."""
    shares = []
    for harmful in (True, False):
        prompts = synthesize_prompts(load_constitution(), 1000, 0, harmful)
        shares.append(sum(p.text.startswith("Please ") for p in prompts) / 1000)
    standard_error = (2 * 0.1 * 0.9 / 1000) ** 0.5
    assert abs(shares[0] - shares[1]) < 4 * standard_error


def test_of_all_twins_a_request_shares_most_words_with_its_own() -> None:
    for b in BEHAVIOURS:
        assert max(BEHAVIOURS, key=lambda c: shared(b.request, c.twin or "")).id == b.id
