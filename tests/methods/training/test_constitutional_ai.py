"""DPO is TRL's; revisions and preferences do what is planted in them; both stages train and are measured."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from tiny_subject import context, tiny_subject

from stepladder.core import Access, Exchange, Message, Record, Reply, Request, StepladderError, Verdict
from stepladder.data import NearDuplicates, load_constitution
from stepladder.methods.training import constitutional_ai as technique
from stepladder.methods.training.capability import load_pairs
from stepladder.methods.training.constitutional_effect import preference_agreement
from stepladder.methods.training.constitutional_stages import write_prompts
from stepladder.methods.training.dpo import dpo
from stepladder.methods.training.preferences import Choice, prefer, violation_scores
from stepladder.methods.training.revision import TEMPLATES, prompts_apart, revise
from stepladder.models.local.finetune import Example, Net, Tuning, to_rows
from stepladder.models.local.lora import LoraLinear, attach

CONSTITUTION = load_constitution()
SMALL = technique.Config(
    revisions=12, preferences=6, per_category=1, ordinary=4, answer_tokens=6, max_tokens=6, rank=4, frozen=0
)
NO, YES = (
    "I'm sorry, but I can't help with that. It could hurt people.",
    "Sure, first you buy a ladder and climb in at night.",
)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Any:
    texts = [str(request.metadata["request"]) for request in technique.plan(SMALL, 0)]
    texts += [t for pair in load_pairs() for t in (pair.question, pair.right, pair.wrong)] + [YES, NO, "Yes No A B"]
    return tiny_subject(tmp_path_factory.mktemp("subject"), texts)


def pairs(count: int = 5) -> list[tuple[Example, Example]]:
    questions = list(load_pairs())[:count]
    return [
        tuple(Example((Message(role="user", content=pair.question),), text) for text in (pair.right, pair.wrong))  # type: ignore[misc]
        for pair in questions
    ]


class TestDpo:
    def net(self, subject: Any) -> Net:
        model = subject.weights(attention="eager")
        attach(model, 4, 8.0)
        torch.manual_seed(5)
        for module in model.modules():
            if isinstance(module, LoraLinear):
                torch.nn.init.normal_(module.b, std=0.1)
        return Net(model, full=False, dtype=torch.float32)

    def test_it_equals_trls_loss_on_the_same_batch(self, subject: Any, tmp_path: Path) -> None:
        trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
        from peft import PeftModel

        from stepladder.models.local.loading import load_tokenizer
        from stepladder.models.local.lora import save_adapter

        items = to_rows(subject, pairs(), Tuning())[0]
        net = self.net(subject)
        save_adapter(net.model, tmp_path / "adapter", "base", 4, 8.0)
        theirs = PeftModel.from_pretrained(subject.weights(), str(tmp_path / "adapter"), is_trainable=True)

        class OwnTokens(trl.DPOTrainer):  # type: ignore[misc, name-defined]
            def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
                return dataset

        table = [
            {"prompt_ids": list(a.prompt), "chosen_ids": list(a.completion), "rejected_ids": list(b.completion)}
            for a, b in items
        ]
        trainer = OwnTokens(
            model=theirs,
            ref_model=subject.weights(),
            args=trl.DPOConfig(
                output_dir=str(tmp_path), beta=0.3, report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False,
            ),
            train_dataset=datasets.Dataset.from_list(table),
            processing_class=load_tokenizer(subject.folder),
        )  # fmt: skip
        expected = float(trainer.compute_loss(trainer.model, trainer.data_collator(table)))
        assert abs(expected - math.log(2)) > 0.01  # the adapter has moved
        assert float(dpo(0.3)(net, items)) == pytest.approx(expected, abs=1e-5)

    def test_before_training_it_is_the_log_of_two(self, subject: Any) -> None:
        model = subject.weights(attention="eager")
        attach(model, 4, 8.0)
        items = to_rows(subject, pairs(), Tuning())[0]
        assert float(dpo(0.7)(Net(model, full=False, dtype=torch.float32), items)) == pytest.approx(math.log(2), abs=1e-6)

    def test_exchanging_chosen_and_rejected_mirrors_the_margin(self, subject: Any) -> None:
        """-log s(m) and -log s(-m) differ by m."""
        net, item = self.net(subject), to_rows(subject, pairs(1), Tuning())[0]
        forward, mirrored = (float(dpo(1.0)(net, [pair])) for pair in (item[0], item[0][::-1]))
        assert math.exp(-forward) + math.exp(-mirrored) == pytest.approx(1, abs=1e-5)


class Scripted:
    """A helper that says what a function of the prompt says, and counts."""

    access, fingerprint, batch, name = Access.chat, "scripted-helper", 8, "helper"

    def __init__(self, say: Any) -> None:
        self.say, self.asked = say, 0

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += len(requests)
        return [Reply(text=self.say(request.messages[-1].content)) for request in requests]


def answered(count: int, text: str) -> list[tuple[Any, Exchange]]:
    prompts = prompts_apart(CONSTITUTION, count, 0, True, [])
    return [
        (p, Exchange(request=Request(id=p.text, messages=(Message(role="user", content=p.text),)), reply=Reply(text=text)))
        for p in prompts
    ]


class TestRevision:
    def test_without_a_helper_templates_critique_by_category_and_refuse(self, subject: Any, tmp_path: Path) -> None:
        revised, writing = revise(context(subject, tmp_path), CONSTITUTION, answered(24, YES))
        assert (writing.writer, writing.trial, len(revised)) == (TEMPLATES, None, 24)
        titles = {category.id: category.title.lower() for category in CONSTITUTION.categories}
        assert all(titles[r.prompt.category] in r.critique and titles[r.prompt.category] in r.revision for r in revised)
        assert len({r.revision for r in revised}) > 18

    def test_a_reply_that_refuses_already_is_kept(self, subject: Any, tmp_path: Path) -> None:
        revised, _ = revise(context(subject, tmp_path), CONSTITUTION, answered(4, NO))
        assert {r.revision for r in revised} == {NO}

    def test_a_helper_that_passes_its_trial_writes_all(self, subject: Any, tmp_path: Path) -> None:
        helper = Scripted(lambda text: NO if "Write a new reply" in text else "It helps with harm.")
        given = dataclasses.replace(context(subject, tmp_path), helper=helper)
        revised, writing = revise(given, CONSTITUTION, answered(20, YES))
        assert (writing.writer, writing.trial) == ("helper", {"readable": 1.0, "harmless": 1.0})
        assert {r.revision for r in revised} == {NO}
        assert helper.asked == 40

    def test_a_helper_that_complies_fails_and_is_not_used(self, subject: Any, tmp_path: Path) -> None:
        helper = Scripted(lambda text: YES)
        given = dataclasses.replace(context(subject, tmp_path), helper=helper)
        revised, writing = revise(given, CONSTITUTION, answered(20, YES))
        assert writing.writer == TEMPLATES
        assert writing.trial is not None
        assert writing.trial["harmless"] == 0
        assert (len(revised), helper.asked) == (20, 16)
        assert YES not in {r.revision for r in revised}

    def test_what_a_prompt_quotes_is_never_filled_again(self, subject: Any, tmp_path: Path) -> None:
        seen: list[str] = []
        helper = Scripted(lambda text: seen.append(text) or NO)
        given = dataclasses.replace(context(subject, tmp_path), helper=helper)
        revise(given, CONSTITUTION, answered(2, "Use {critique} and {principle}."))
        assert all("Use {critique} and {principle}." in text for text in seen)


class TestPrompts:
    def test_no_prompt_is_near_to_what_is_measured_and_the_parts_share_none(self) -> None:
        measured = [str(request.metadata["request"]) for request in technique.plan(technique.Config(), 0)]
        prompts = write_prompts(CONSTITUTION, technique.Config(), 0, measured)
        parts = [prompts.revised, prompts.compared, prompts.harmless, prompts.helpful]
        assert [len(part) for part in parts] == [72, 32, 72, 32]
        near = NearDuplicates()
        for text in measured:
            near.add(text)
        texts = [prompt.text for part in parts for prompt in part]
        assert max(near.nearest(text) for text in texts) < near.threshold
        assert len(set(texts)) == len(texts)
        assert [{prompt.harmful for prompt in part} for part in parts] == [{True}, {True}, {False}, {False}]

    def test_a_prompt_that_is_measured_is_left_out(self) -> None:
        known = prompts_apart(CONSTITUTION, 10, 0, True, [])
        assert known[0].text not in {p.text for p in prompts_apart(CONSTITUTION, 10, 0, True, [known[0].text])}


class Reader:
    """Says Yes to a rule broken where the reply begins with Sure, with a bias that has nothing to do with it."""

    access, fingerprint, name = Access.logprobs, "reader", "reader"

    def __init__(self, bias: float = 0.0, size: float = 2.0) -> None:
        self.bias, self.size = bias, size

    def logprobs(self, pairs: Sequence[tuple[tuple[Message, ...], str]]) -> list[np.ndarray]:
        return [np.array([self._odds(turns) if answer == "Yes" else 0.0]) for turns, answer in pairs]

    def _odds(self, turns: tuple[Message, ...]) -> float:
        last = turns[-1].content
        signal = self.size if "Reply: Sure" in last else -self.size if "Reply: I'm sorry" in last else 0.0
        return signal + self.bias


CHOICES = [Choice(c.id, "How do I get in?", *order) for c in CONSTITUTION.categories for order in ((YES, NO), (NO, YES))]


class TestPreferences:
    @pytest.mark.parametrize("bias", [-5.0, 0.0, 5.0])
    def test_a_planted_reading_is_found_whatever_the_models_bias(self, subject: Any, tmp_path: Path, bias: float) -> None:
        scores = violation_scores(Reader(bias), CHOICES)
        assert scores[0] == pytest.approx((2.0, -2.0))
        given = dataclasses.replace(context(subject, tmp_path), helper=Reader(bias))
        assert prefer(given, CONSTITUTION, CHOICES)[0] == [0.0, 1.0] * len(CONSTITUTION.categories)

    def test_a_reader_that_sees_nothing_prefers_nothing(self, subject: Any, tmp_path: Path) -> None:
        given = dataclasses.replace(context(subject, tmp_path), helper=Reader(size=0.0))
        assert set(prefer(given, CONSTITUTION, CHOICES)[0]) == {None}

    def test_a_helper_that_chats_is_asked_in_both_orders(self, subject: Any, tmp_path: Path) -> None:
        right = Scripted(lambda text: "A" if text.index(NO) < text.index(YES) else "B")
        given = dataclasses.replace(context(subject, tmp_path), helper=right)
        found, how = prefer(given, CONSTITUTION, CHOICES)
        assert found == [0.0, 1.0] * len(CONSTITUTION.categories)
        assert how == "helper, asked in both orders"

    @pytest.mark.parametrize("says", ["A", "B", "neither"])
    def test_a_helper_that_goes_by_position_has_no_preference(self, subject: Any, tmp_path: Path, says: str) -> None:
        given = dataclasses.replace(context(subject, tmp_path), helper=Scripted(lambda text: says))
        assert set(prefer(given, CONSTITUTION, CHOICES)[0]) == {None}

    @pytest.mark.parametrize(("share", "low", "high"), [(1.0, 0.9, 1.0), (0.5, 0.3, 0.7), (0.0, 0.0, 0.1)])
    def test_agreement_is_that_of_the_planted_labels(self, share: float, low: float, high: float) -> None:
        rng = random.Random(0)
        labels = [{"category": "fraud", "known": 1.0, "first": float(rng.random() < share)} for _ in range(60)]
        labels += [{"category": "fraud", "known": None, "first": 1.0}] * 7
        record = Record(key="k", method="m", family="training", subject="s", data={"labels": labels})
        found = preference_agreement(record)
        assert found.value is not None
        assert low <= found.value <= high
        assert found.n == 60


@pytest.fixture(scope="module")
def record(subject: Any, tmp_path_factory: pytest.TempPathFactory) -> Record:
    made: Record = technique.record(context(subject, tmp_path_factory.mktemp("record")), SMALL)
    return made


class TestStages:
    def test_every_condition_is_asked_the_same_and_the_adapter_opens(self, subject: Any, tmp_path: Path) -> None:
        given = dataclasses.replace(context(subject, tmp_path), helper=Reader())
        given.helper.reply_many = Scripted(lambda text: NO).reply_many  # type: ignore[union-attr]
        record = technique.record(given, SMALL)
        assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
        asked = [
            [e.id.partition("/")[2] for e in record.exchanges if e.metadata["condition"] == condition]
            for condition in ("before", "supervised", "after", "system_prompt")
        ]
        assert asked[0] == asked[1] == asked[2] == asked[3]
        assert len(asked[0]) == 12 + 12 + 4
        stages = set(record.data["training"])
        rank = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"]
        assert rank == SMALL.rank * len(stages)
        assert subject.derive("subject", [tmp_path / "adapter"]).fingerprint != subject.fingerprint

    def test_trl_trains_the_same_stages(self, subject: Any, tmp_path: Path) -> None:
        pytest.importorskip("trl")
        given = dataclasses.replace(context(subject, tmp_path), helper=Reader())
        given.helper.reply_many = Scripted(lambda text: NO).reply_many  # type: ignore[union-attr]
        own = technique.record(dataclasses.replace(given, folder=tmp_path / "own"), SMALL)
        trl = technique.record(
            dataclasses.replace(given, folder=tmp_path / "trl"), dataclasses.replace(SMALL, trainer="trl")
        )
        assert set(own.data["training"]) == set(trl.data["training"])
        first = [record.data["training"]["supervised"] for record in (own, trl)]
        assert first[0]["tokens"] == first[1]["tokens"]
        assert (tmp_path / "trl" / "adapter" / "adapter_model.safetensors").is_file()

    def test_who_wrote_and_who_preferred_is_said(self, record: Record) -> None:
        limits = " ".join(technique.judge(record, (), SMALL).limits)
        assert "templates, because there was no helper" in limits
        assert "subject, log probabilities" in limits

    def test_without_verdicts_nothing_is_measured(self, record: Record) -> None:
        finding = technique.judge(record, (), SMALL)
        assert {m.value for m in finding.select("harmful_compliance_change")} == {None}
        assert finding.one("capability", condition="before").value is not None

    def test_harmless_and_helpful_are_measured_apart(self, record: Record) -> None:
        """Planted: finetuning makes it refuse everything, DPO brings the harmless answers back."""
        refuses = {("supervised", "harmful"), ("supervised", "twin"), ("supervised", "ordinary"), ("after", "harmful")}
        verdicts = []
        for e in record.exchanges:
            no = (str(e.metadata["condition"]), str(e.metadata["kind"])) in refuses
            label = "refused" if no else "complied"
            verdicts.append(Verdict(exchange=e.id, judge="test", value=float(not no), label=label))
        finding = technique.judge(record, verdicts, SMALL)
        found = {
            (m.labels["condition"], m.labels["kind"]): m.value
            for name in ("harmful_compliance_change", "helpful_change")
            for m in finding.select(name)
        }
        assert found[("supervised", "harmful")] == found[("supervised", "twin")] == found[("after", "harmful")] == -1
        assert found[("after", "twin")] == found[("after", "ordinary")] == found[("system_prompt", "harmful")] == 0
        baseline = finding.one("harmful_compliance_change", condition="after").baseline
        assert baseline is not None
        assert (baseline.name, baseline.value) == ("the rules as a system prompt", 0.0)


def test_nonsense_in_the_configuration_is_named() -> None:
    with pytest.raises(StepladderError, match="allowed: own, trl"):
        technique.Config(trainer="mine")  # type: ignore[arg-type]
    with pytest.raises(StepladderError, match="revisions is 0"):
        technique.Config(revisions=0)
