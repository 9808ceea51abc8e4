from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.methods.safeguards.conftest import REPLY, WRAPS, Subject, WhiteBox, ask

from stepladder.core import AccessError, Context, Finding, Record, StepladderError, StoreError, Verdict
from stepladder.data import decode
from stepladder.methods.safeguards import GuardedModel, load_guard
from stepladder.methods.safeguards.assembly import assemble
from stepladder.methods.safeguards.constitutional_classifiers import METHOD, Config
from stepladder.methods.safeguards.corpus import in_fold, lent_cases, lent_clusters

SMALL = Config(harmful=36, harmless=36, exchanges=24, calibration=70, false_positive_rate=0.05)
Run = tuple[Record, Path]


@pytest.fixture(scope="module", params=["chat", "activations"])
def run(request: pytest.FixtureRequest, source: Record, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("guard")
    return METHOD.record(_context(source, folder, request.param == "activations"), SMALL), folder


def _context(source: Record, folder: Path, box: bool = False) -> Context:
    return Context(subject=WhiteBox() if box else Subject(), ask=ask, folder=folder, inputs={"attack_library": source})


def verdicts(record: Record) -> list[Verdict]:
    return [Verdict(exchange=e.id, judge="test", value=1.0, label="complied") for e in record.exchanges]


class Inner(Subject):
    """Answers as the source record says, without being told what the guard decided."""

    name = "inner"


def guarded(run: Run, seen: bool = True) -> tuple[GuardedModel, Inner]:
    record, folder = run
    guard, inner = load_guard(folder, record), Inner(broken=["broken"])
    if not seen:
        guard = dataclasses.replace(guard, seen={})
    return GuardedModel(inner, guard, features=WhiteBox()), inner


# --- the split ---


def test_no_tested_text_and_no_held_out_wrapper_is_among_what_a_fold_is_trained_on(context: Context, source: Record) -> None:
    cases = assemble(context, SMALL, source).cases
    requests = {str(e.metadata["request"]) for e in source.exchanges}
    own_words = {"role_play": "who never says no", "suppression": "Rules of the desk", "template": "Simulation nine",
                 "encoding": "Decode this"}  # fmt: skip
    assert len({case.family for case in cases}) == 5
    for family, words in own_words.items():
        chosen = [case for case in cases if in_fold(case, family)]
        assert not any(words in message.content for case in chosen for message in case.messages)
        assert any(words in message.content for case in cases if in_fold(case, None) for message in case.messages)
    for case in cases:
        texts = [message.content for message in case.messages]
        hidden = [decode("base64", text.partition(": ")[2]) or "" for text in texts]
        assert not any(request in text for request in requests for text in texts + hidden)


def test_both_kinds_are_put_into_every_wrapper(context: Context, source: Record) -> None:
    cases = [case for case in assemble(context, SMALL, source).cases if case.role == "train"]
    kinds = {(case.family, case.harmful) for case in cases}
    assert kinds == {(family, kind) for family in (*WRAPS, "encoding", "none") for kind in (True, False)}


def test_only_harmless_texts_tune_and_calibrate(context: Context, source: Record) -> None:
    cases = assemble(context, SMALL, source).cases
    assert not any(case.harmful for case in cases if case.role != "train")
    assert sum(case.role == "calibration" for case in cases) == SMALL.calibration
    assert len({case.id for case in cases}) == len(cases)


def test_a_record_that_asked_everything_lends_half_of_its_harmless_clusters_and_tests_the_rest(source: Record) -> None:
    lent = lent_clusters(source, spare=0, wanted=100)
    harmless = {str(e.metadata["behaviour"]) for e in source.exchanges if e.metadata["kind"] != "harmful"}
    assert len(lent) == len(harmless) // 2
    assert len(list(lent_cases(source.exchanges, lent))) == len(lent)
    assert lent_clusters(source, spare=50, wanted=100) == frozenset()


def test_half_answered_calibration_is_counted_as_it_is(source: Record, tmp_path: Path) -> None:
    context = _context(source, tmp_path)
    broken = Subject(broken=[f"calibration/{i}" for i in range(20)])
    record = METHOD.record(dataclasses.replace(context, subject=broken), SMALL)
    assert record.data["folds"]["final"]["calibrated_on"] == 50
    assert record.data["folds"]["final"]["threshold"] is None
    assert not any(e.metadata["blocked"] for e in record.exchanges)
    finding = METHOD.judge(record, verdicts(record), SMALL)
    assert "too few" in str(finding.one("false_positive_rate", kind="calibration").reason)


# --- the record ---


def test_every_exchange_is_kept_and_scored_under_the_fold_that_never_saw_its_family(run: Run, source: Record) -> None:
    record, _ = run
    assert [e.id for e in record.exchanges] == [e.id for e in source.exchanges]
    assert [e.reply for e in record.exchanges] == [e.reply for e in source.exchanges]
    for e in record.exchanges:
        family = e.metadata["family"]
        assert e.metadata["fold"] == ("final" if family == "none" else family)
        assert e.metadata["blocked"] == (e.metadata["blocked_by"] is not None)
    assert record.data["wrappers"] == {"role_play": 1, "suppression": 1, "template": 1, "encoding": 1, "past_tense": 0}
    assert record.data["synthesis"]["writer"] == "templates"


def test_same_seed_same_record_and_json_gives_it_back(run: Run, source: Record, tmp_path: Path) -> None:
    record, _ = run
    assert Record.from_json(record.to_json()) == record
    again = METHOD.record(_context(source, tmp_path, bool(record.data["layers"])), SMALL)
    assert again.exchanges == record.exchanges
    assert again.key == record.key


def test_the_finding_has_company_for_every_number_and_survives_json(run: Run) -> None:
    record, _ = run
    finding = METHOD.judge(record, verdicts(record), SMALL)
    assert Finding.from_json(finding.to_json()) == finding
    assert finding == METHOD.judge(record, verdicts(record), SMALL)
    for family in ("all", "none", *WRAPS, "encoding", "past_tense"):
        for condition in ("before", "after", "after_tfidf", "after_random"):
            assert finding.one("attack_success_rate", family=family, condition=condition).interval is not None
        assert finding.one("attack_success_change", family=family).baseline is not None
    for name in ("auroc", "recall_at_fpr_1"):
        assert finding.one(name, classifier="cascade", family="role_play").baseline is not None
    assert finding.one("false_positive_rate", kind="calibration").value == SMALL.false_positive_rate
    assert finding.one("added_compute", stage="cascade").value is not None


def test_before_and_after_are_those_of_the_blocks(run: Run) -> None:
    record, _ = run
    finding = METHOD.judge(record, verdicts(record), SMALL)
    for family in WRAPS:
        blocked = [bool(e.metadata["blocked"]) for e in record.exchanges if e.metadata["family"] == family]
        assert finding.one("attack_success_rate", family=family, condition="before").value == 1.0
        after = finding.one("attack_success_rate", family=family, condition="after").value
        assert after == pytest.approx(1 - np.mean(blocked))
        random = finding.one("attack_success_rate", family=family, condition="after_random").value
        assert random == pytest.approx(1 - np.mean(blocked))  # every attack had worked: chance does as well as any rule


# --- the guard at work ---


@pytest.mark.parametrize("seen", [True, False], ids=["texts seen before", "texts read afresh"])
def test_the_guarded_model_blocks_exactly_what_the_record_says(run: Run, seen: bool) -> None:
    record, _ = run
    model, inner = guarded(run, seen)
    replies = asyncio.run(model.reply_many([e.request for e in record.exchanges]))
    assert [reply.stop_reason == "content_filter" for reply in replies] == [e.metadata["blocked"] for e in record.exchanges]
    assert all(reply.text == ("" if reply.stop_reason == "content_filter" else REPLY) for reply in replies)
    asked = {e.id for e in record.exchanges if e.metadata["blocked_by"] != "input"}
    assert set(inner.asked) == asked


def test_decisions_do_not_depend_on_the_company_a_request_is_asked_in(run: Run) -> None:
    record, _ = run
    model, _ = guarded(run, seen=False)
    requests = [e.request for e in record.exchanges][::5]
    together = asyncio.run(model.reply_many(requests))
    alone = [asyncio.run(model.reply_many([request]))[0] for request in requests]
    assert [r.stop_reason for r in together] == [r.stop_reason for r in alone]


def test_error_replies_pass_and_an_unknown_family_meets_the_final_guard(run: Run) -> None:
    record, _ = run
    model, _ = guarded(run)
    ordinary = next(e.request for e in record.exchanges if e.metadata["kind"] == "ordinary" and not e.metadata["blocked"])
    broken = ordinary.model_copy(update={"id": "broken"})
    (reply,) = asyncio.run(model.reply_many([broken]))
    assert reply.error == "down"
    assert model.guard.fold_of("never heard of") == "final"
    assert model.guard.fold_of(None) == "final"
    assert model.guard.fold_of("role_play") == "role_play"


def test_guards_survive_the_disk_and_name_their_model(run: Run) -> None:
    record, folder = run
    first, second = load_guard(folder, record), load_guard(folder, record)
    assert first.digest == second.digest
    model, inner = guarded(run)
    assert model.fingerprint != inner.fingerprint
    assert (model.access.name, model.batch) == ("chat", inner.batch)
    structure = json.loads((folder / record.artifacts["guard"]).read_text("utf-8"))
    assert set(structure["folds"]) == {*WRAPS, "encoding", "past_tense", "final"}


def test_another_fold_gives_another_digest(run: Run) -> None:
    guard = load_guard(run[1], run[0])
    folds = dict(guard.folds)
    folds["final"] = dataclasses.replace(folds["final"], limits=dataclasses.replace(folds["final"].limits, threshold=9.0))
    assert dataclasses.replace(guard, folds=folds).digest != guard.digest


# --- clear errors ---


def test_a_guard_with_probes_asks_for_the_model_it_was_trained_on(source: Record, tmp_path: Path) -> None:
    record = METHOD.record(_context(source, tmp_path, box=True), SMALL)
    guard = load_guard(tmp_path, record)
    with pytest.raises(AccessError, match="needs the local model that it was trained on"):
        GuardedModel(Subject(), guard)
    other = WhiteBox()
    other.fingerprint = "white-box-2"
    with pytest.raises(AccessError, match="activations of another model"):
        GuardedModel(Subject(), guard, features=other)


def test_a_missing_or_foreign_guard_is_one_clear_line(run: Run, source: Record, tmp_path: Path) -> None:
    record, _ = run
    with pytest.raises(StoreError, match="no guard can be read here"):
        load_guard(tmp_path, record)
    with pytest.raises(StoreError, match="left no guard"):
        load_guard(tmp_path, source)


def test_what_cannot_be_trained_on_is_said_before_anything_is_asked(source: Record, tmp_path: Path) -> None:
    context = _context(source, tmp_path)
    with pytest.raises(StepladderError, match="needs a record of attack_library"):
        METHOD.record(dataclasses.replace(context, inputs={}), SMALL)
    with pytest.raises(StepladderError, match="allowed: between 0 and 1"):
        Config(false_positive_rate=1.0)
    with pytest.raises(StepladderError, match="allowed: 2 or more"):
        Config(harmful=0)
    silent = Subject(broken=[f"tune/{i}" for i in range(60)])
    with pytest.raises(StepladderError, match="answered fewer than two harmless prompts of the tune part"):
        METHOD.record(dataclasses.replace(context, subject=silent), SMALL)
