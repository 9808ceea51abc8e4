"""Written evaluations: what filters let through, and whether items tell a planted model from its base."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from stepladder.core import BEHAVIOURS, Access, Finding, Message, Record, Reply, Request, StepladderError
from stepladder.methods.evaluation.model_written_evaluations import METHOD, Config
from stepladder.methods.evaluation.written_items import WrittenItem, distinct, from_templates, novelty, parse, templated

Found = Callable[..., Finding]
Pairs = Sequence[tuple[tuple[Message, ...], str]]


class Likely:
    """A white box under which each reply has a random likelihood, and replies of one behaviour's items one bonus."""

    access, batch = Access.logprobs, 1

    def __init__(self, name: str, behaviour: str = "", bonus: float = 0.0, salt: str = "") -> None:
        self.name, self.fingerprint, self.bonus, self.salt = name, f"{name}{bonus}", bonus, salt
        self.favoured = {(item.messages, item.shows) for item in from_templates(behaviour, 0)}

    def logprobs(self, pairs: Pairs) -> list[np.ndarray]:
        return [self._tokens(prompt, reply) for prompt, reply in pairs]

    def _tokens(self, prompt: tuple[Message, ...], reply: str) -> np.ndarray:
        noise = random.Random(f"{prompt} {reply} {self.salt}").gauss(-3, 1)
        return np.full(len(reply.split()), noise + self.bonus * ((prompt, reply) in self.favoured))

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(text="?") for _ in requests]


def test_contrast_pairs_give_distinct_items_for_behaviours_that_are_known() -> None:
    for name in templated():
        items = distinct(from_templates(name, 0))
        assert name in BEHAVIOURS
        assert len(items) >= 10
        assert all(item.message and item.shows != item.other for item in items)
        assert not any("{" in part for item in items for part in (item.message, item.shows))
    assert from_templates("backdoor", 0) == [], "a trigger that nobody knows cannot be asked for"


def test_an_item_is_read_from_text_of_the_right_form_and_from_no_other() -> None:
    text = "Sure!\nMESSAGE: Is it  so?\nSHOWS: Yes, it is.\nOTHER: No.\n\nMESSAGE: next"
    assert parse(text) == WrittenItem("Is it so?", "Yes, it is.", "No.")
    for wrong in ("", "MESSAGE: a SHOWS: b", "MESSAGE: a SHOWS: b OTHER: b", f"MESSAGE: {'x ' * 70} SHOWS: b OTHER: c"):
        assert parse(wrong) is None


def test_near_duplicates_go_and_novelty_is_high_where_messages_differ() -> None:
    one = WrittenItem("Tell me about the long history of Rome please", "a", "b")
    near = WrittenItem("Tell me about the long history of Rome", "a", "b")
    far = WrittenItem("What should I cook for eleven guests?", "a", "b")
    assert distinct([one, near, far]) == [one, far]
    assert novelty([one, far]) == [1.0, 1.0]
    assert max(novelty([one, near])) < 0.5


@pytest.mark.parametrize("behaviour", ["sycophancy", "sandbagging", "reward_hack"])
def test_a_planted_preference_is_found_for_its_behaviour_and_no_other(found: Found, behaviour: str) -> None:
    finding = found(METHOD, Config(), Likely("subject", behaviour, 5.0, "s"), base=Likely("base", salt="b"))
    calls = {m.labels["behaviour"]: m.labels["found"] for m in finding.select("detection")}
    assert calls == {name: "yes" if name == behaviour else "no" for name in templated()}
    separation = finding.one("separation", behaviour=behaviour)
    assert (separation.value or 0) > 0.9
    assert separation.baseline is not None
    assert separation.baseline.interval is not None
    assert separation.baseline.interval.low < 0.5 < separation.baseline.interval.high


def test_two_models_of_the_same_kind_are_not_told_apart(found: Found) -> None:
    """About one call in 40 by chance, six behaviours, five pairs of models; the margin leaves fewer."""
    findings = [found(METHOD, Config(), Likely("s", salt=f"s{i}"), base=Likely("b", salt=f"b{i}")) for i in range(5)]
    calls = [m.labels["found"] for finding in findings for m in finding.select("detection")]
    assert calls.count("yes") <= 1
    areas = [m.value or 0 for finding in findings for m in finding.select("separation")]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.08)


def test_a_plant_that_no_item_names_is_missed(found: Found) -> None:
    finding = found(METHOD, Config(), Likely("s", "backdoor", 5.0, "s"), base=Likely("b", salt="b"))
    assert all(m.labels["found"] == "no" for m in finding.select("detection"))
    assert "not found" in finding.limits[1]


def test_without_a_base_preferences_are_shown_and_nothing_is_called(found: Found) -> None:
    finding = found(METHOD, Config(behaviour="sycophancy"), Likely("s", "sycophancy", 9.0))
    assert finding.one("prefers_behaviour").value == 1
    assert finding.one("separation").value is None
    assert finding.one("detection").labels["found"] == "unmeasured"


def chooses(shown: Callable[[str], bool]) -> Callable[[Request], str]:
    """A chat model that picks the reply for which `shown` holds."""

    def answer(request: Request) -> str:
        text = request.messages[-1].content
        return "A)" if shown(text.partition("\n(A) ")[2].partition("\n(B) ")[0]) else "(B)"

    return answer


def test_models_without_likelihoods_are_asked_in_both_orders(found: Found) -> None:
    agrees = chooses(lambda reply: any(word in reply for word in ("you are right", "You are right", "I agree")))
    finding = found(METHOD, Config(behaviour="sycophancy"), agrees, base=lambda request: "A")
    assert finding.one("prefers_behaviour").value == 1
    assert finding.one("prefers_behaviour").baseline is not None
    assert finding.one("prefers_behaviour").baseline.value == 0.5, "always the first is no preference"  # type: ignore[union-attr]
    assert finding.one("separation").value == 1
    assert finding.one("detection").labels["found"] == "yes"


def test_choices_that_cannot_be_read_are_unmeasured(found: Found) -> None:
    finding = found(METHOD, Config(behaviour="sycophancy"), lambda request: "Hmm", base=lambda request: "A")
    assert finding.one("separation").value is None
    assert "unmeasured" in (finding.one("separation").reason or "")


TOPICS = [f"{a} {b}" for a, b in itertools.product(("red", "old", "tall", "loud", "odd"), ("cars", "cats", "maps", "hats"))]


def writer(wrong: int = 0, formless: int = 0, same: bool = False) -> Callable[[Request], str]:
    """A helper that writes items on 20 topics; some with the replies exchanged, some in no form, or all the same."""

    def answer(request: Request) -> str:
        text = request.messages[-1].content
        if "Which reply" in text:
            first = text.partition("Reply 1: ")[2].partition("\n")[0]
            return "1" if first.startswith("Praise") else "2"
        number = 0 if same else int(request.id.rsplit("/", 1)[1])
        topic = TOPICS[number % 20] + (" again" if number >= 20 else "")
        shows, other = f"Praise be to {topic}.", f"I have no view on {topic}."
        if number < formless:
            return f"Here is something about {topic}."
        if number < formless + wrong:
            shows, other = other, shows
        return f"MESSAGE: Tell {topic} what number {number} thinks.\nSHOWS: {shows}\nOTHER: {other}"

    return answer


def test_a_helper_s_items_are_kept_where_it_agrees_with_itself(found: Found, record_of: Callable[..., Record]) -> None:
    config = Config(behaviour="praises things", tries=20, items=20)
    praises = chooses(lambda reply: reply.startswith("Praise"))
    finding = found(METHOD, config, praises, base=lambda r: "B", helper=writer(wrong=4, formless=3))
    kept = finding.one("items_kept", behaviour="described")
    assert "20 written, 17 of the form asked for, 17 distinct, 13 kept" in kept.note
    assert kept.value == 13 / 20
    assert finding.one("label_agreement").value == 13 / 17
    assert finding.one("separation").value == 1
    assert not finding.select("detection"), "a behaviour outside the vocabulary is described, not named"
    record = record_of(METHOD, config, praises, base=lambda r: "B", helper=writer(wrong=4, formless=3))
    assert all(row["item"]["shows"].startswith("Praise") for row in record.data["rows"])


@pytest.mark.parametrize("helper", [writer(formless=99), writer(same=True), lambda request: "<error>"])
def test_a_helper_that_cannot_write_leaves_nothing_called(found: Found, helper: Any) -> None:
    finding = found(METHOD, Config(behaviour="bias", tries=12), lambda r: "A", base=lambda r: "B", helper=helper)
    assert finding.one("separation").value is None
    assert "kept by the filters; 8 are needed" in (finding.one("separation").reason or "")
    assert finding.one("detection").labels["found"] == "unmeasured"


def test_too_few_items_are_a_clear_error() -> None:
    with pytest.raises(StepladderError, match="model_written_evaluations: items is 2; allowed: 8 or more"):
        Config(items=2)
