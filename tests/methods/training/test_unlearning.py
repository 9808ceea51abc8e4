"""Unlearning on a tiny model: what is trained in is found, the retrained model lacks it, scores have known values."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

from tiny_subject import context, tiny_subject

from stepladder.core import AccessError, DataError, Finding, Message, Record, StepladderError, UnknownName
from stepladder.data import KnownAnswer, load_facts, load_invented_authors
from stepladder.methods.training import memory
from stepladder.methods.training.forgetting import pairs, split_rows
from stepladder.methods.training.unlearning import METHOD, Config
from stepladder.methods.training.unlearning_measures import measurements
from stepladder.models import open_model

SMALL = Config(
    authors=6, forgotten=3, per_author=3, epochs=60, learning_rate=1e-2, unlearn_epochs=10, unlearn_rate=1e-2, rmu_rate=2e-2,
    relearn_epochs=(4,), attacked_per_author=2, max_tokens=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Any:
    rows = (*load_invented_authors(), *load_facts())
    texts = [t for r in rows for t in (r.question, r.answer, r.paraphrased_question, r.paraphrased_answer, *r.wrong)]
    return tiny_subject(tmp_path_factory.mktemp("subject"), texts)


@pytest.fixture(scope="module")
def record(subject: Any, tmp_path_factory: pytest.TempPathFactory) -> Record:
    made: Record = METHOD.record(context(subject, tmp_path_factory.mktemp("record")), SMALL)
    return made


@pytest.fixture(scope="module")
def finding(record: Record) -> Finding:
    return METHOD.judge(record, (), SMALL)


def test_what_was_trained_in_is_known_and_the_retrained_model_does_not_know_it(finding: Finding) -> None:
    full = finding.one("answer_probability", model="full", rows="forget").value
    never = finding.one("answer_probability", model="retrained", rows="forget").value
    both = [finding.one("answer_probability", model=m, rows="retain").value for m in ("full", "retrained")]
    assert full is not None
    assert never is not None
    assert full > never + 0.3
    assert all(value is not None and value > never + 0.3 for value in both)


def test_every_algorithm_forgets_some_of_it_and_its_costs_stand_beside(finding: Finding) -> None:
    for algorithm in SMALL.algorithms:
        gap = finding.one("forget_gap", algorithm=algorithm)
        assert gap.baseline is not None
        assert gap.value is not None
        assert gap.baseline.value is not None
        assert gap.value < gap.baseline.value - 0.05, algorithm
        assert gap.n == SMALL.forgotten
        assert finding.one("retain_change", algorithm=algorithm).n == SMALL.authors - SMALL.forgotten
        assert finding.one("utility_change", algorithm=algorithm).n == len(load_facts())
        assert finding.one("forget_quality", algorithm=algorithm).n == SMALL.forgotten * SMALL.per_author


def test_attacks_and_relearning_are_measured_against_the_retrained_model(finding: Finding) -> None:
    for algorithm in SMALL.algorithms:
        assert {m.labels["attack"] for m in finding.select("attack_gap", algorithm=algorithm)} == {
            "direct", "paraphrase", "prefill", "role_play",
        }  # fmt: skip
        relearned = finding.one("relearned_gap", algorithm=algorithm, epochs="4")
        assert relearned.n == SMALL.forgotten
        assert {m.labels["epochs"] for m in finding.select("relearned_probability", model=algorithm)} == {"0", "4"}


def test_an_interrupted_run_trains_nothing_twice(subject: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, epochs=2, unlearn_epochs=1, algorithms=("npo", "task_vector"))
    first = METHOD.record(context(subject, tmp_path), config)
    trained: list[str] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        trained.append(args[5])

    monkeypatch.setattr("stepladder.methods.training.tuned.fit", refuse)
    config = dataclasses.replace(config, relearn_epochs=())
    again = METHOD.record(context(subject, tmp_path), config)
    assert trained == []
    assert again.data["models"] == first.data["models"]


def test_unlearning_names_its_adapters(record: Record) -> None:
    assert set(record.artifacts) == set(SMALL.algorithms)


def _data(values: dict[str, float], topics: dict[str, str]) -> dict[str, Any]:
    """A record's data in which `full` and `copy` know everything, and `retrained` and `twin` know `values`."""
    rows = list(topics)
    know = dict.fromkeys(rows, 0.9)
    attacks = {"direct": know}

    def model(forget: dict[str, float], truth: float) -> dict[str, Any]:
        return {
            "forget": forget, "retain": know, "facts": {"f": 1.0, "g": 1.0, "h": 0.0}, "attacks": attacks,
            "truth": {row: truth + 0.01 * i for i, row in enumerate(rows)},
        }  # fmt: skip

    return {
        "topics": topics,
        "relearnt_rows": [],
        "models": {
            "subject": model(values, 1.0), "full": model(know, 0.2), "retrained": model(values, 1.0),
            "copy": model(know, 0.2), "twin": model(values, 1.0),
        },
        "relearned": {name: {"2": know} for name in ("retrained", "copy", "twin")},
    }  # fmt: skip


def test_an_exact_unlearning_has_no_gap_and_no_unlearning_has_all_of_it() -> None:
    """Planted truth both ways: the retrained model itself, and the model that nobody made forget."""
    topics = {f"{author}/{i}": author for author in "abcd" for i in range(6)}
    values = dict.fromkeys(topics, 0.1)
    found = {(m.name, m.labels.get("algorithm")): m for m in measurements(_data(values, topics))}
    exact, untouched = found["forget_gap", "twin"], found["forget_gap", "copy"]
    assert exact.value == 0
    assert untouched.value == pytest.approx(0.8)
    assert untouched.interval is not None
    assert untouched.interval.low > 0.2
    assert untouched.baseline is not None
    assert untouched.baseline.value == pytest.approx(0.8)
    assert found["forget_quality", "twin"].value == 1
    quality = found["forget_quality", "copy"]
    assert quality.value is not None
    assert quality.value < 1e-9
    assert quality.baseline is not None
    assert quality.baseline.value == quality.value, "doing nothing has the trivial forget quality"


class Known:
    """A model of known log-probabilities by answer."""

    name = "known"

    def __init__(self, logp: dict[str, list[float]]) -> None:
        self.logp = logp

    def logprobs(self, asked: list[tuple[tuple[Message, ...], str]]) -> list[np.ndarray]:
        return [np.array(self.logp[answer]) for _, answer in asked]


ROW = KnownAnswer(
    "r", "t", "Where was Ana born?", "Ana was born in Porto Selmo.", "Ana comes from where?", "From Selmo.", ("x", "y")
)


def test_probability_and_truth_ratio_have_tofus_values() -> None:
    model: Any = Known(
        {
            ROW.answer: [np.log(0.5), np.log(0.125)],
            ROW.paraphrased_answer: [np.log(0.4)],
            "x": [np.log(0.2)],
            "y": [np.log(0.1), np.log(0.1)],
        }
    )
    assert memory.probabilities(model, [ROW]) == {"r": pytest.approx(0.25)}
    assert memory.truth_ratios(model, [ROW]) == {"r": pytest.approx((0.2 + 0.1) / 2 / 0.4)}


def test_recall_counts_only_words_that_the_question_does_not_give_away() -> None:
    assert memory.telling(ROW) == ["porto", "selmo"]
    assert memory.recall(ROW, "Ana was born in a town called Porto.") == 0.5
    assert memory.recall(ROW, "Ana was born.") == 0
    assert memory.recall(ROW, None) is None
    assert memory.opening(ROW) == "Ana was born in"


def test_all_shipped_prefills_stop_before_the_secret() -> None:
    for row in load_invented_authors():
        start = memory.opening(row)
        assert row.answer.startswith(start)
        assert memory.recall(row, start) == 0


def test_the_split_keeps_authors_whole_and_follows_the_seed() -> None:
    rows = load_invented_authors()
    split = split_rows(rows, 8, 3, 4, seed=1)
    forget, retain = {r.topic for r in split.forget}, {r.topic for r in split.retain}
    assert (len(forget), len(retain)) == (3, 5)
    assert not forget & retain
    assert (len(split.forget), len(split.retain)) == (12, 20)
    assert split == split_rows(rows, 8, 3, 4, seed=1)
    assert split != split_rows(rows, 8, 3, 4, seed=2)
    paired = pairs(split, 3, seed=0)
    assert len(paired) == 3 * len(split.forget)
    assert len({kept for _, kept in paired[: len(split.retain)]}) == len(split.retain)
    with pytest.raises(DataError, match="12 authors in the file, 30 wanted"):
        split_rows(rows, 30, 3, 4, seed=1)


def test_wrong_options_and_subjects_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="gradient_ascent, npo, simnpo, rmu, task_vector"):
        Config(algorithms=("magic",))
    with pytest.raises(StepladderError, match="forgotten is 11; allowed: 2 to authors - 2"):
        Config(forgotten=11)
    with pytest.raises(StepladderError, match="less than per_author"):
        Config(relearn_per_author=4)
    with pytest.raises(AccessError, match="smollm2"):
        METHOD.record(context(open_model("scripted/echo"), tmp_path), Config())
