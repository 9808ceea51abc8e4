import dataclasses

import pytest
from store_fakes import Config, FakeModel, answer, method, record_of, request

from stepladder.core import (
    Cost,
    Exchange,
    Finding,
    Measurement,
    Record,
    Reply,
    StepladderError,
    StoreError,
    UnknownName,
    Verdict,
)
from stepladder.store import load_tensors, open_store, save_tensors, save_text


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


def a_record(key, **fields):
    exchanges = (Exchange(request=request(1), reply=answer(request(1))),)
    return Record(**({"key": key, "method": "m", "family": "red_teaming", "subject": "s", "exchanges": exchanges} | fields))


def run(store, model, config=None, technique=None, **context):
    technique = technique or method()
    return store.run_method(technique, store.context(model, seed=0, **context), config or Config())


def test_a_technique_with_nothing_changed_asks_nothing_and_gives_the_same_record(store):
    model = FakeModel()
    first = run(store, model)
    model.units.clear()
    assert run(store, model) == first == store.load_record(first.key)
    assert model.units == []
    assert store.records() == (first,)


def test_a_second_run_does_not_even_run_the_technique(store):
    runs = []

    def counted(context, config):
        runs.append(1)
        return record_of(context, config)

    for _ in range(3):
        run(store, FakeModel(), technique=method(counted))
    assert len(runs) == 1


def test_whatever_determines_a_record_makes_another_one(store):
    model, other = FakeModel(), FakeModel("other")
    base = run(store, model)
    records = [
        run(store, other),
        run(store, model, Config(note="x")),
        run(store, model, helper=other),
        run(store, model, inputs={"base": base}),
        run(store, model, models={"extra": other}),
        run(store, model, verdicts={"base": [Verdict(exchange="r1", judge="j", value=1.0)]}),
        store.run_method(method(), store.context(model, seed=1), Config()),
    ]
    assert len({base.key, *(record.key for record in records)}) == 8


def test_a_record_with_an_error_is_kept_and_only_the_error_is_asked_again(store):
    model = FakeModel(down=["hello 3"])
    first = run(store, model)
    assert sum(exchange.reply.error is not None for exchange in first.exchanges) == 1
    assert store.load_record(first.key) == first
    model.units.clear()
    model.down.clear()
    second = run(store, model)
    assert model.asked == ["hello 3"]
    assert second.key == first.key
    assert all(exchange.reply == answer(exchange.request) for exchange in second.exchanges)


def test_new_answers_make_old_verdicts_and_findings_void_and_equal_ones_do_not(store):
    model = FakeModel(down=["hello 3"])
    record = run(store, model)
    verdicts = (Verdict(exchange="r1", judge="j", value=0.5),)
    finding = Finding(method="fake_method", family="f", subject="s", record=record.key, measurements=())
    store.save_verdicts(record.key, "judge", verdicts)
    store.save_finding(finding)
    run(store, model)
    assert store.verdicts(record.key, "judge") == verdicts
    assert store.findings() == (finding,)
    model.down.clear()
    run(store, model)
    assert store.verdicts(record.key, "judge") is None
    assert store.findings() == ()


def derived(runs):
    """A technique that copies its input's exchanges, as a trained guard's record does."""

    def record(context, config):
        runs.append(1)
        return Record(key="", method="derived", family="f", subject="s", exchanges=context.inputs["fake_method"].exchanges)

    return method(record, name="derived", needs=("fake_method",))


def test_a_record_made_from_a_record_is_made_again_only_when_that_one_changes(store):
    model, runs = FakeModel(down=["hello 3"]), []
    technique = derived(runs)
    for _ in range(2):  # an error that stays an error changes nothing
        run(store, model, technique=technique, inputs={"fake_method": run(store, model)})
    assert len(runs) == 1
    model.down.clear()
    for _ in range(2):
        last = run(store, model, technique=technique, inputs={"fake_method": run(store, model)})
    assert len(runs) == 2
    assert all(exchange.reply.error is None for exchange in last.exchanges)


def test_a_technique_without_the_record_it_needs_says_which(store):
    with pytest.raises(StepladderError, match="derived needs the record of fake_method"):
        run(store, FakeModel(), technique=derived([]))


def test_what_a_record_cost_does_not_depend_on_what_was_known_before(store):
    model = FakeModel()
    first = run(store, model)
    again = run(store, model, Config(note="nothing new to ask"))
    replies = [answer(request(n)) for n in range(10)]
    assert first.cost == again.cost
    assert first.cost == Cost(
        requests=10,
        tokens_in=sum(reply.tokens_in for reply in replies),
        tokens_out=sum(reply.tokens_out for reply in replies),
        seconds=2.5,
    )
    assert store.cost() == first.cost


def with_artifact(context, config):
    import numpy as np

    save_tensors(context.folder / "probe.safetensors", {"w": np.arange(3.0)})
    save_text(context.folder / "notes.json", "{}")
    artifacts = {"probe": "probe.safetensors", "notes": "notes.json"}
    return Record(key="", method="m", family="f", subject="s", artifacts=artifacts)


def test_artifacts_lie_in_the_record_s_own_folder_and_are_made_again_when_gone(store):
    record = run(store, FakeModel(), technique=method(with_artifact))
    probe = store.artifacts(record) / record.artifacts["probe"]
    assert store.artifacts(record) == store.folder / "tensors" / record.key
    assert load_tensors(probe)["w"].tolist() == [0, 1, 2]
    probe.unlink()
    assert run(store, FakeModel(), technique=method(with_artifact)) == record
    assert probe.exists()


def test_a_technique_may_not_name_an_artifact_that_it_did_not_write(store):
    def record(context, config):
        return Record(key="", method="m", family="f", subject="s", artifacts={"guard": "guard.json"})

    with pytest.raises(ValueError, match="'guard'"):
        run(store, FakeModel(), technique=method(record))
    assert store.records() == ()


def test_a_technique_that_fails_leaves_its_answers_but_no_record(store):
    def record(context, config):
        record_of(context, config)
        raise RuntimeError("training failed")

    model = FakeModel()
    with pytest.raises(RuntimeError):
        run(store, model, technique=method(record))
    assert store.records() == ()
    run(store, model)
    assert len(model.asked) == 10


def test_records_are_found_by_key_and_unique_prefix(store):
    for key in ("abc1", "abd2"):
        store.save_record(a_record(key))
    assert store.load_record("abc1") == store.load_record("abc") == a_record("abc1")
    with pytest.raises(StoreError, match="2 records begin with 'ab': abd2, abc1; give more digits"):
        store.load_record("ab")
    with pytest.raises(UnknownName, match=r"unknown record 'abx'; allowed: ab.*\(m on s\), .*eval log"):
        store.load_record("abx")


def test_in_an_empty_store_every_record_is_unknown(store):
    with pytest.raises(StoreError, match="nothing is recorded yet"):
        store.load_record("abc")


def test_saving_under_the_same_key_replaces(store):
    store.save_record(a_record("k"))
    new = store.save_record(a_record("k", data={"x": 1}))
    assert store.records() == (new,)


def test_a_record_is_given_back_as_it_will_be_read(store):
    saved = store.save_record(a_record("k", config={"families": ("a", "b")}))
    assert saved.config == {"families": ["a", "b"]}
    assert store.load_record("k") == saved


@pytest.mark.parametrize(
    "fields",
    [{"data": {"x": float("nan")}}, {"exchanges": 2 * (Exchange(request=request(1), reply=Reply(error="e")),)}],
)
def test_a_record_that_could_not_be_read_back_is_refused(store, fields):
    with pytest.raises(ValueError, match=r"JSON compliant|not unique"):
        store.save_record(a_record("k", **fields))
    assert store.records() == ()
    assert not list(store.folder.rglob("*.eval"))


def test_verdicts_are_kept_per_judge_and_findings_per_record_method_and_judge(store):
    verdicts = (Verdict(exchange="r1", judge="a", value=1.0), Verdict(exchange="r2", judge="a", unmeasured="empty"))
    store.save_verdicts("k", "a", verdicts)
    store.save_verdicts("k", "b", ())
    assert store.verdicts("k", "a") == verdicts
    assert store.verdicts("k", "b") == ()
    assert store.verdicts("k", "c") is None
    finding = Finding(method="m", family="f", subject="s", record="k", measurements=())
    newer = finding.model_copy(update={"measurements": (Measurement(name="x", value=1.0, unit="share", n=3),)})
    other = finding.model_copy(update={"judge": "b"})
    for each in (finding, other, newer):
        store.save_finding(each)
    assert sorted(f.to_json() for f in store.findings()) == sorted(f.to_json() for f in (newer, other))


def test_the_context_hands_over_what_it_was_given(store):
    model, helper = FakeModel(), FakeModel("helper")
    context = store.context(model, seed=7, helper=helper, models={"x": helper})
    assert (context.subject, context.seed, context.helper, context.models) == (model, 7, helper, {"x": helper})
    assert dataclasses.replace(context, seed=8).ask == store.ask
