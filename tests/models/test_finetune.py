"""Finetuning: the numbers of peft and TRL, losses where they belong, and nothing half written."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ask, sentences

from stepladder.core import DataError, Message, MissingExtra, ModelUnavailable
from stepladder.models.local import trl as trl_path
from stepladder.models.local.finetune import (
    Example,
    Item,
    Net,
    Row,
    Tuning,
    _schedule,
    finetune,
    next_token_loss,
    to_rows,
)
from stepladder.models.local.lora import MODULES, LoraLinear, attach, disabled, join_adapters

SHORT = Tuning(rank=4, alpha=8, learning_rate=0.02, epochs=2, batch=4)


def examples(count: int = 12, seed: int = 0) -> list[Example]:
    texts = sentences(2 * count, seed)
    return [Example((Message(role="user", content=a),), b) for a, b in zip(texts[::2], texts[1::2], strict=True)]


def pairs(count: int = 8) -> list[tuple[Example, Example]]:
    return [
        (a, dataclasses.replace(a, completion=b.completion))
        for a, b in zip(examples(count), examples(count, 1), strict=True)
    ]


@pytest.fixture(scope="module")
def subject(folders: dict[str, Path]) -> Any:
    from stepladder.models.local.model import LocalModel

    return LocalModel("tiny", folders["llama"], "float32")


@pytest.fixture(scope="module")
def trained(subject: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return finetune(subject, examples(), tmp_path_factory.mktemp("trained") / "adapter", SHORT)


def own_net(subject: Any, tuning: Tuning = SHORT) -> Net:
    """A net whose adapter is not zero, in float32."""
    model = subject.weights(attention="eager")
    attach(model, tuning.rank, tuning.alpha)
    torch.manual_seed(3)
    for module in model.modules():
        if isinstance(module, LoraLinear):
            torch.nn.init.normal_(module.b, std=0.2)
    return Net(model, full=False, dtype=torch.float32)


class TestLora:
    def test_layer_equals_pefts_forward_and_gradients(self) -> None:
        from peft import LoraConfig
        from peft.tuners.lora import Linear

        torch.manual_seed(0)
        base = torch.nn.Linear(12, 7)
        ours = LoraLinear(base, rank=3, scale=2.0)
        torch.nn.init.normal_(ours.b)
        theirs = Linear(base, "default", config=LoraConfig(r=3, lora_alpha=6), r=3, lora_alpha=6)
        theirs.lora_A["default"].weight.data.copy_(ours.a.data)
        theirs.lora_B["default"].weight.data.copy_(ours.b.data)
        x = torch.randn(2, 5, 12, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        a, b = ours(x), theirs(y)
        torch.testing.assert_close(a, b)
        target = torch.randn_like(a)
        ((a - target) ** 2).sum().backward()
        ((b - target) ** 2).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
        torch.testing.assert_close(ours.a.grad, theirs.lora_A["default"].weight.grad)
        torch.testing.assert_close(ours.b.grad, theirs.lora_B["default"].weight.grad)
        assert base.weight.grad is None

    def test_a_new_adapter_changes_nothing_and_disabling_gives_the_old_model_back(self, subject: Any) -> None:
        rows = [item[0] for item in to_rows(subject, examples(3), SHORT)[0]]
        fresh, moved = subject.weights(attention="eager"), own_net(subject)
        expected = Net(fresh, full=False, dtype=torch.float32).logprobs(rows)
        assert not torch.allclose(moved.logprobs(rows)[0], expected[0], atol=1e-3)
        with disabled(moved.model):
            torch.testing.assert_close(moved.logprobs(rows), expected)
        attach(fresh, 4, 8.0)
        torch.testing.assert_close(Net(fresh, full=False, dtype=torch.float32).logprobs(rows), expected)

    def test_only_the_layers_asked_for_are_adapted(self, subject: Any) -> None:
        model = subject.weights()
        attach(model, 2, 4.0, first_layer=3)
        adapted = [name for name, module in model.named_modules() if isinstance(module, LoraLinear)]
        assert len(adapted) == len(MODULES)
        assert all(".3." in name for name in adapted)
        trainable = [name for name, p in model.named_parameters() if p.requires_grad]
        assert all(name.endswith((".a", ".b")) for name in trainable)
        with pytest.raises(ModelUnavailable, match="from 9 on"):
            attach(subject.weights(), 2, 4.0, first_layer=9)

    def test_joined_adapters_do_what_they_do_on_top_of_each_other(self, subject: Any, trained: Any, tmp_path: Path) -> None:
        second = finetune(subject.derive("next", [trained.folder]), examples(seed=5), tmp_path / "second", SHORT)
        join_adapters([trained.folder, second.folder], tmp_path / "joined")
        stacked = subject.derive("a", [trained.folder, second.folder])
        joined = subject.derive("b", [tmp_path / "joined"])
        asked = [((Message(role="user", content=text),), text) for text in sentences(4, 9)]
        for a, b in zip(stacked.logprobs(asked), joined.logprobs(asked), strict=True):
            torch.testing.assert_close(torch.from_numpy(a), torch.from_numpy(b), atol=2e-5, rtol=1e-4)

    def test_adapters_of_different_scale_are_not_joined(self, trained: Any, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        for file in trained.folder.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        config = json.loads((other / "adapter_config.json").read_text())
        (other / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 99}))
        with pytest.raises(ModelUnavailable, match="cannot be joined"):
            join_adapters([trained.folder, other], tmp_path / "joined")
        assert not (tmp_path / "joined").exists()


class TestAdapter:
    def test_loss_falls(self, trained: Any) -> None:
        assert trained.losses[-1] < trained.losses[0] - 0.5

    def test_reloaded_by_peft_it_gives_the_same_logits(self, subject: Any, trained: Any) -> None:
        from peft import PeftModel

        model = subject.weights(attention="eager")
        theirs = PeftModel.from_pretrained(model, str(trained.folder))
        chat = subject.chat_format
        tokens = chat.prompt((Message(role="user", content="the of and"),))
        logits = theirs(torch.tensor([tokens])).logits[0, -1].log_softmax(-1)
        ours = subject.derive("t", [trained.folder]).logprobs([((Message(role="user", content="the of and"),), "he was")])[0]
        token = chat.tokens("he was")[0]
        assert ours[0] == pytest.approx(float(logits[token]), abs=1e-4)

    def test_same_rows_settings_and_seed_give_the_same_bytes(self, subject: Any, trained: Any, tmp_path: Path) -> None:
        again = finetune(subject, examples(), tmp_path / "again", SHORT)
        other = finetune(subject, examples(), tmp_path / "other", dataclasses.replace(SHORT, seed=1))
        read = [(place / "adapter_model.safetensors").read_bytes() for place in (trained.folder, again.folder, other.folder)]
        assert again.losses == trained.losses
        assert read[0] == read[1] != read[2]

    def test_all_weights_can_be_trained_too(self, subject: Any, tmp_path: Path) -> None:
        from stepladder.models.local.model import LocalModel

        tuned = finetune(subject, examples(), tmp_path / "full", Tuning(rank=0, learning_rate=1e-3, batch=4))
        assert tuned.full
        moved = LocalModel("full", tuned.folder, "float32")
        assert moved.fingerprint.split(":")[1] != subject.fingerprint.split(":")[1]
        assert moved.chat_format.tokenizer.chat_template == subject.chat_format.tokenizer.chat_template


class TestRows:
    def test_only_the_completion_counts(self, subject: Any) -> None:
        """By hand from transformers' own logits: mean over completion tokens of all rows, prompts and padding out."""
        items = to_rows(subject, examples(3), SHORT)[0]
        model = subject.weights(attention="eager")
        expected = []
        for (row,) in items:
            logits = model(torch.tensor([row.prompt + row.completion])).logits[0].log_softmax(-1)
            places = range(len(row.prompt) - 1, len(row) - 1)
            expected += [float(logits[place, token]) for place, token in zip(places, row.completion, strict=True)]
        loss = next_token_loss(Net(model, full=False, dtype=torch.float32), items)
        assert float(loss) == pytest.approx(-sum(expected) / len(expected), abs=1e-5)

    def test_a_whole_reply_ends_its_turn_and_a_cut_one_does_not(self, subject: Any) -> None:
        whole, cut = (Example((Message(role="user", content="he"),), "the of and", whole=whole) for whole in (True, False))
        (a,), (b,) = (to_rows(subject, [example], SHORT)[0][0] for example in (whole, cut))
        end = subject.chat_format.tokenizer.eos_token_id
        assert a.completion == (*b.completion, end)
        assert end not in b.completion

    def test_a_documents_first_token_is_given(self, subject: Any) -> None:
        ((row,),), truncated = to_rows(subject, [Example((), "the of and to")], SHORT)
        assert (len(row.prompt), len(row.completion), truncated) == (1, 3, 0)  # the first token is foretold by nothing

    def test_long_rows_are_cut_or_left_out_and_counted(self, subject: Any) -> None:
        prompt = (Message(role="user", content=" ".join(["the"] * 20)),)
        rows, truncated = to_rows(
            subject,
            [Example(prompt, "of " * 30), Example((prompt[0], prompt[0], prompt[0]), "of"), Example((), "of the")],
            dataclasses.replace(SHORT, max_tokens=40),
        )
        assert [len(row) for (row,) in rows] == [40, 2]
        assert truncated == 2

    def test_nothing_to_train_on_is_a_clear_error(self, subject: Any, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="nothing to train on"):
            finetune(subject, [], tmp_path / "none", SHORT)

    @pytest.mark.parametrize(("count", "batch", "epochs"), [(23, 4, 1.0), (130, 8, 2.0), (5, 8, 3.0)])
    def test_the_schedule_covers_every_item_once_an_epoch(self, count: int, batch: int, epochs: float) -> None:
        rows: list[Item] = [(Row((1,) * (i % 7), (2,) * (1 + i % 5)),) for i in range(count)]
        steps = list(_schedule(rows, Tuning(batch=batch, epochs=epochs)))
        assert all(len(step) <= batch for step in steps)
        for epoch in _epochs(steps, count):
            assert sorted(epoch) == list(range(count))

    def test_part_of_an_epoch_takes_part_of_the_items_once(self) -> None:
        rows: list[Item] = [(Row((), (1,)),) for _ in range(40)]
        taken = [i for step in _schedule(rows, Tuning(batch=8, epochs=0.5)) for i in step]
        assert len(taken) == len(set(taken)) == 20

    def test_the_batch_size_is_no_part_of_what_is_learned_from_a_row(self, subject: Any) -> None:
        """Padding changes no log probability."""
        items = to_rows(subject, examples(6), SHORT)[0]
        net = own_net(subject)
        together = net.logprobs([row for (row,) in items])
        alone = [net.logprobs([row])[0] for (row,) in items]
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def _epochs(steps: list[list[int]], count: int) -> Iterator[list[int]]:
    flat = [i for step in steps for i in step]
    yield from (flat[start : start + count] for start in range(0, len(flat), count))


class TestReference:
    @pytest.mark.parametrize("full", [False, True])
    def test_it_is_the_model_before_training_without_gradients(self, subject: Any, full: bool) -> None:
        row = to_rows(subject, examples(1), SHORT)[0][0][0]
        before = Net(subject.weights(attention="eager"), full=False, dtype=torch.float32).logprobs([row])[0]
        net = own_net(subject) if not full else Net(subject.weights(attention="eager"), full=True, dtype=torch.float32)
        if full:
            with torch.no_grad():
                net.model.model.layers[0].mlp.up_proj.weight.mul_(3)
        with net.reference():
            reference = net.logprobs([row])[0]
        torch.testing.assert_close(reference, before)
        assert not reference.requires_grad
        assert not torch.allclose(net.logprobs([row])[0], before, atol=1e-3)

    def test_hidden_is_the_residual_stream_after_a_layer(self, subject: Any) -> None:
        row = to_rows(subject, examples(1), SHORT)[0][0][0]
        model = subject.weights(attention="eager")
        hidden = Net(model, full=False, dtype=torch.float32).hidden([row], 1)[0]
        expected = model(torch.tensor([row.prompt + row.completion]), output_hidden_states=True).hidden_states[2][0]
        torch.testing.assert_close(hidden, expected)


class TestInterruption:
    def test_an_interrupted_run_leaves_nothing(self, subject: Any, tmp_path: Path) -> None:
        def stop(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            finetune(subject, examples(), tmp_path / "adapter", SHORT, advance=stop)
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupted_write_leaves_the_old_result(self, subject: Any, tmp_path: Path, monkeypatch: Any) -> None:
        from stepladder.models.local import lora

        old = tmp_path / "adapter"
        old.mkdir()
        (old / "mark").write_text("old")

        def fail(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(lora, "save_adapter", fail)
        with pytest.raises(OSError, match="disk full"):
            finetune(subject, examples(), old, SHORT)
        assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
        assert (old / "mark").read_text() == "old"

    def test_a_loss_that_is_not_finite_stops_with_the_step(self, subject: Any, tmp_path: Path) -> None:
        def broken(net: Net, items: Any) -> Any:
            return next_token_loss(net, items) * math.nan

        with pytest.raises(ModelUnavailable, match="diverged at step 1"):
            finetune(subject, examples(), tmp_path / "adapter", SHORT, objective=broken)
        assert list(tmp_path.iterdir()) == []


class TestDerived:
    def test_adapters_and_a_hidden_system_prompt_make_other_models(self, subject: Any, trained: Any) -> None:
        others = [
            subject,
            subject.derive("tiny", [trained.folder]),
            subject.derive("tiny", [trained.folder, trained.folder]),
            subject.derive("tiny", system="the of and"),
            subject.derive("tiny", [trained.folder], system="the of and"),
        ]
        assert len({model.fingerprint for model in others}) == len(others)

    def test_a_hidden_system_prompt_is_read_and_comes_before_the_users_own(self, subject: Any) -> None:
        hidden = subject.derive("tiny", system="the of and")
        shown = (Message(role="system", content="the of and"), Message(role="user", content="he was"))
        assert hidden.chat_format.prompt(shown[1:]) == subject.chat_format.prompt(shown)
        both = hidden.chat_format.prompt((Message(role="system", content="to in"), *shown[1:]))
        joined = (Message(role="system", content="the of and\n\nto in"), *shown[1:])
        assert both == subject.chat_format.prompt(joined)

    def test_training_sees_the_hidden_system_prompt(self, subject: Any) -> None:
        hidden = subject.derive("tiny", system="the of and")
        plain, prompted = (to_rows(model, examples(1), SHORT)[0][0][0] for model in (subject, hidden))
        assert len(prompted.prompt) > len(plain.prompt)
        assert prompted.completion == plain.completion

    def test_a_derived_model_keeps_what_it_was_derived_from(self, subject: Any, trained: Any, replies: Any) -> None:
        one = subject.derive("one", [trained.folder])
        two = one.derive("two", system="the of")
        assert two.fingerprint.split(":")[1] == subject.derive("x", [trained.folder], "the of").fingerprint.split(":")[1]
        asked = [ask("the of and", max_tokens=8)]
        assert replies(one, asked) != replies(subject, asked)


class TestTrl:
    @pytest.fixture(autouse=True)
    def needs_trl(self) -> None:
        pytest.importorskip("trl")

    def test_supervised_first_loss_agrees_with_ours_and_the_adapter_opens(self, subject: Any, tmp_path: Path) -> None:
        one_batch = dataclasses.replace(SHORT, batch=12, epochs=1)
        ours = finetune(subject, examples(), tmp_path / "own", one_batch)
        theirs = trl_path.finetune_with_trl(subject, examples(), tmp_path / "trl", one_batch)
        assert theirs.losses[0] == pytest.approx(ours.losses[0], abs=2e-4)
        assert (theirs.tokens, theirs.truncated, theirs.full) == (ours.tokens, ours.truncated, False)
        opened = [subject.derive("tiny", [tuned.folder]) for tuned in (ours, theirs)]
        assert len({model.fingerprint for model in (*opened, subject)}) == 3
        names = [set(json.loads((t.folder / "tuning.json").read_text())) for t in (ours, theirs)]
        assert names[0] == names[1]

    def test_training_goes_on_to_learn(self, subject: Any, tmp_path: Path) -> None:
        counted: list[int] = []
        tuned = trl_path.finetune_with_trl(subject, examples(), tmp_path / "trl", SHORT, advance=counted.append)
        assert tuned.losses[-1] < tuned.losses[0] - 0.5
        assert len(counted) == len(tuned.losses) == 6
        assert sum(counted) == 24

    def test_preferences_are_trained_too(self, subject: Any, tmp_path: Path) -> None:
        tuned = trl_path.finetune_with_trl(subject, pairs(), tmp_path / "dpo", SHORT, beta=0.5)
        assert tuned.losses[0] == pytest.approx(math.log(2), abs=1e-4)  # nothing has moved yet
        assert tuned.losses[-1] < math.log(2)
        assert subject.derive("tiny", [tuned.folder]).fingerprint != subject.fingerprint

    def test_without_trl_the_error_says_how_to_get_it(self, subject: Any, tmp_path: Path, monkeypatch: Any) -> None:
        def missing(name: str) -> None:
            raise ImportError(name)

        monkeypatch.setattr(trl_path, "import_module", missing)
        with pytest.raises(MissingExtra, match=r"pip install 'stepladder\[trl\]'"):
            trl_path.finetune_with_trl(subject, examples(), tmp_path / "none", SHORT)


def test_a_document_is_read_whole_with_and_without_a_token_that_begins_it(folders: dict[str, Path]) -> None:
    from stepladder.models.local.model import LocalModel

    chat = LocalModel("toy", folders["llama"]).chat_format
    tokens = tuple(chat.tokens("the a of to and"))
    chat.tokenizer.bos_token = None
    assert chat.example((), "the a of to and") == (tokens[:1], tokens[1:])
    chat.tokenizer.bos_token = chat.tokenizer.eos_token
    assert chat.example((), "the a of to and") == ((chat.tokenizer.bos_token_id,), tokens)
