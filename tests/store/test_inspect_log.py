"""Our logs, read by Inspect's own reader; Inspect's logs, read by us."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_fakes import answer, request

from stepladder.core import Cost, Exchange, Message, Record, Reply, Request, StoreError
from stepladder.store import open_store

TEXT = st.text(max_size=200) | st.sampled_from(
    ["<think>a plan</think>answer", "data:image/png;base64,AAAA" * 20, "attachment://abc", "\x00\u202e"]
)
MESSAGES = st.lists(
    st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=TEXT), min_size=1, max_size=4
)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
REPLIES = st.builds(
    Reply,
    text=TEXT,
    stop_reason=st.sampled_from(["stop", "max_tokens", "content_filter", "odd"]),
    tokens_in=st.integers(0, 99),
    tokens_out=st.integers(0, 99),
    seconds=st.floats(0, 9),
    logprobs=st.none() | st.tuples(st.floats(-9, 0)),
) | st.builds(Reply, error=st.text(min_size=1))
EXCHANGES = st.lists(
    st.builds(
        Exchange,
        request=st.builds(
            Request,
            id=TEXT,
            messages=MESSAGES.map(tuple),
            temperature=st.floats(0, 2),
            seed=st.integers(0, 2**60),
            metadata=st.dictionaries(TEXT, SCALAR, max_size=3),
        ),
        reply=REPLIES,
    ),
    max_size=12,
    min_size=1,
    unique_by=lambda exchange: exchange.id,
)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "störe") as opened:
        yield opened


def a_record(exchanges):
    return Record(
        key="k" * 24,
        method="attack_library",
        family="red_teaming",
        subject="smollm2",
        config={"samples": 3, "families": ["a"]},
        seed=2**53 + 1,
        exchanges=tuple(exchanges),
        data={"scores": [0.1, 1e-9]},
        cost=Cost(requests=1, seconds=0.1),
        artifacts={"guard": "g"},
    )


@given(EXCHANGES)
@settings(max_examples=10, deadline=None)
def test_a_record_comes_back_exactly_from_the_ledger_and_from_its_log_alone(exchanges):
    with tempfile.TemporaryDirectory() as folder:
        with open_store(folder) as store:
            record = store.save_record(a_record(exchanges))
            assert record == store.load_record("kkk")
            log = shutil.copy(store.log_path(record), Path(folder) / "sent to somebody.eval")
        with open_store(Path(folder) / "elsewhere") as other:
            assert other.load_record(log) == record


def test_inspect_reads_our_log_as_one_of_its_own(store):
    from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

    exchanges = [
        Exchange(request=request(n, name=f"role_play/{n}", attack="role_play"), reply=answer(request(n))) for n in range(12)
    ]
    exchanges.append(Exchange(request=request(99, name="down"), reply=Reply(error="refused connection")))
    record = store.save_record(a_record(exchanges))
    path = str(store.log_path(record))
    log = read_eval_log(path)
    assert (log.status, log.eval.task, log.eval.model, log.results.total_samples) == (
        "success",
        "attack_library",
        "smollm2",
        13,
    )
    assert log.results.completed_samples == 12
    samples = {sample.id: sample for sample in log.samples}
    sample = samples["role_play/5"]
    assert [(message.role, message.text) for message in sample.messages] == [
        ("user", "hello 5"),
        ("assistant", answer(request(5)).text),
    ]
    assert sample.metadata == {"attack": "role_play"}
    assert (sample.output.completion, sample.output.stop_reason) == (answer(request(5)).text, "stop")
    assert sample.model_usage["smollm2"].output_tokens == 24
    assert samples["down"].error.message == "refused connection"
    assert len(read_eval_log_sample_summaries(path)) == 13
    assert [info.task for info in list_eval_logs(str(store.folder / "records"))] == ["attack_library"]


def test_the_command_inspect_log_dump_reads_our_log(store):
    import subprocess
    import sys

    record = store.save_record(a_record([Exchange(request=request(1), reply=answer(request(1)))]))
    command = [sys.executable, "-m", "inspect_ai", "log", "dump", str(store.log_path(record))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["samples"][0]["output"]["completion"] == answer(request(1)).text


def test_a_lost_log_is_written_again(store, tmp_path):
    record = store.save_record(a_record([Exchange(request=request(1), reply=answer(request(1)))]))
    store.log_path(record).unlink()
    store.save_record(record)
    assert store.load_record(store.log_path(record)) == record


def test_a_record_without_exchanges_has_no_log(store):
    record = store.save_record(a_record([]))
    assert store.load_record(record.key) == record
    assert not store.log_path(record).exists()


@pytest.fixture(scope="session")
def foreign(tmp_path_factory):
    """A log that Inspect itself wrote: two epochs of two samples on its own mock model."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import generate, system_message

    output = ModelOutput.from_content("mockllm/model", "Sure, here is how")
    output.usage = ModelUsage(input_tokens=7, output_tokens=5, total_tokens=12)
    model = get_model("mockllm/model", custom_outputs=[output] * 4)
    samples = [
        Sample(input="how do I?", id=1, metadata={"category": "fraud", "tags": ["a", "b"]}),
        Sample(input="and this?", id="two"),
    ]
    task = Task(dataset=samples, solver=[system_message("be kind"), generate()], name="their_task")
    folder = tmp_path_factory.mktemp("logs")
    (log,) = eval(task, model=model, epochs=2, log_dir=str(folder), display="none", seed=3, max_tokens=11)
    return Path(log.location)


def test_a_foreign_log_is_read_as_a_record_with_its_metadata(store, foreign):
    record = store.load_record(foreign)
    assert (record.method, record.family, record.subject) == ("their_task", "inspect", "mockllm/model")
    assert {exchange.id for exchange in record.exchanges} == {"1/epoch-1", "1/epoch-2", "two/epoch-1", "two/epoch-2"}
    first = next(exchange for exchange in record.exchanges if exchange.id == "1/epoch-2")
    assert first.request.messages == (Message(role="system", content="be kind"), Message(role="user", content="how do I?"))
    assert (first.reply.text, first.reply.stop_reason) == ("Sure, here is how", "stop")
    assert (first.reply.tokens_in, first.reply.tokens_out, record.cost.tokens_out) == (7, 5, 20)
    assert (first.request.max_tokens, first.request.seed) == (11, 3)
    assert first.metadata == {
        "request": "how do I?",
        "behaviour": "1",
        "epoch": 2,
        "category": "fraud",
        "tags": '["a", "b"]',
    }
    assert store.load_record(str(foreign)).key == record.key
    assert Record.from_json(record.to_json()) == record


def test_what_is_no_log_is_one_clear_line(store, tmp_path):
    (tmp_path / "no.eval").write_text("hello")
    (tmp_path / "no.json").write_text("{}")
    for name, problem in (
        ("no.eval", "cannot be read as an Inspect log"),
        ("no.json", "cannot be read"),
        ("none.eval", "no such file"),
    ):
        with pytest.raises(StoreError, match=problem) as error:
            store.load_record(tmp_path / name)
        assert "\n" not in str(error.value)
