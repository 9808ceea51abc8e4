"""Lenses against transformers' own hidden states, closed forms, and a planted affine map between layers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

import torch
from known_models import known_subject
from tiny_models import tiny_gpt2, tiny_llama

from stepladder.core import Context, StepladderError
from stepladder.methods.interpretability import lenses
from stepladder.methods.interpretability.circuits_model import CircuitModel
from stepladder.methods.interpretability.lenses import Translator
from stepladder.methods.interpretability.logit_lens import METHOD, Config


def no_asking(*_: object, **__: object) -> tuple[()]:
    raise AssertionError("nothing is asked")


def read(model: CircuitModel, streams: lenses.Streams, stream: Any, translator: Any = None) -> lenses.Reading:
    return lenses.read_lenses(model, streams, {"one": lenses.stream_lens(model, stream, translator)})["one"]


def documents(count: int, length: int = 9, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 40, (count, length), generator=generator).tolist()


@pytest.fixture(params=[tiny_llama, tiny_gpt2])
def model(request: pytest.FixtureRequest) -> CircuitModel:
    torch.manual_seed(5)
    return CircuitModel(request.param(40))


def test_streams_are_transformers_hidden_states_and_the_last_lens_is_the_model(model: CircuitModel) -> None:
    texts = documents(3)
    streams = lenses.read_streams(model, texts, [0, 1])
    with torch.no_grad():
        output = model.model(input_ids=torch.tensor(texts[1:2]), output_hidden_states=True)
    mine = streams.document == 1
    assert streams.at[1][mine] == pytest.approx(output.hidden_states[2][0, 1:-1], abs=1e-5)
    expected = output.logits[0, 1:-1].log_softmax(-1)
    assert lenses.log_probabilities(model, streams.last[mine]) == pytest.approx(expected, abs=1e-4)
    reading = read(model, streams, streams.last)
    assert reading.kl == pytest.approx(torch.zeros(21), abs=1e-5)
    nll = torch.nn.functional.cross_entropy(output.logits[0, 1:-1], torch.tensor(texts[1][2:]), reduction="none")
    assert reading.loss[mine] == pytest.approx(nll, abs=1e-4)


def test_an_untrained_translator_is_the_logit_lens(model: CircuitModel) -> None:
    streams = lenses.read_streams(model, documents(3), [1])
    nothing = Translator(torch.zeros(48, 48), torch.zeros(48))
    plain, tuned = (read(model, streams, streams.at[1], t) for t in (None, nothing))
    assert tuned.kl == pytest.approx(plain.kl, abs=1e-6)


def test_divergence_is_torchs() -> None:
    target, found = torch.randn(2, 5, 30, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    expected = torch.nn.functional.kl_div(found, target, log_target=True, reduction="none").sum(-1)
    assert lenses.divergence(target, found) == pytest.approx(expected, abs=1e-6)


def test_no_constant_prediction_is_closer_than_the_mean(model: CircuitModel) -> None:
    streams = lenses.read_streams(model, documents(12), [0])
    best = lenses.mean_distribution(model, streams.last)
    assert best.exp().sum() == pytest.approx(1.0, abs=1e-5)

    def divergence(logp: Any) -> Any:
        return lenses.read_lenses(model, streams, {"one": lenses.constant_lens(logp)})["one"].kl.mean()

    for seed in range(5):
        other = best + 0.3 * torch.randn(40, generator=torch.Generator().manual_seed(seed))
        assert divergence(other.log_softmax(-1)) > divergence(best)


def test_a_planted_affine_map_is_recovered_and_the_divergence_goes_to_zero(model: CircuitModel) -> None:
    generator = torch.Generator().manual_seed(1)
    stream = torch.randn(3000, 48, generator=generator)
    planted = Translator(0.3 * torch.randn(48, 48, generator=generator), torch.randn(48, generator=generator))
    last = planted(stream)
    found = lenses.regression(stream, last)
    assert pytest.approx(planted.A, abs=0.01) == found.A
    assert torch.allclose(found.b, planted.b, atol=0.01)
    streams = lenses.Streams({0: stream}, last, torch.zeros(3000, dtype=torch.long), torch.zeros(3000))
    before = read(model, streams, stream).kl.mean()
    after = read(model, streams, stream, lenses.fit_translators(model, streams, 0)[0]).kl.mean()
    assert after < 0.01 * before


def test_a_stream_that_tells_nothing_is_not_believed(model: CircuitModel) -> None:
    """With noise in place of the stream the best is its mean; least squares on n tokens of width d costs d / n more."""
    generator = torch.Generator().manual_seed(1)
    noise, last = torch.randn(2, 400, 48, generator=generator)
    found = lenses.regression(noise, last)
    new_noise, new_last = torch.randn(2, 400, 48, generator=generator)
    error = (found(new_noise) - new_last).square().mean()
    assert error < (1 + 1.5 * 48 / 400) * new_last.square().mean()


def test_training_on_the_divergence_beats_the_regression_it_begins_at(model: CircuitModel) -> None:
    streams = lenses.read_streams(model, documents(150), [0])
    begun = read(model, streams, streams.at[0], lenses.regression(streams.at[0], streams.last)).kl.mean()
    fitted = lenses.fit_translators(model, streams, 0)[0]
    assert read(model, streams, streams.at[0], fitted).kl.mean() < begun


def test_translators_are_equal_after_a_trip_to_disk(tmp_path: Path) -> None:
    made = {3: Translator(torch.randn(4, 4), torch.randn(4))}
    lenses.save_translators(made, tmp_path / "lens.safetensors")
    (found,) = lenses.load_translators(tmp_path / "lens.safetensors").items()
    assert found[0] == 3
    assert torch.equal(found[1].A, made[3].A)
    assert torch.equal(found[1].b, made[3].b)


def test_the_whole_technique_on_own_texts(tmp_path: Path) -> None:
    subject = known_subject(tmp_path / "model")
    texts = tmp_path / "texts.jsonl"
    lines = [" ".join(f"w{(i * 7 + j * j) % 15}" for j in range(12)) for i in range(30)]
    texts.write_text("\n".join(f'{{"text": "{line}"}}' for line in lines))
    config = Config(texts=str(texts), documents=30, layers=1)
    context = Context(subject=subject, ask=no_asking, folder=tmp_path / "new", seed=0)
    found = METHOD.judge(METHOD.record(context, config), (), config)
    assert (tmp_path / "new" / "tuned_lens.safetensors").exists()
    assert METHOD.judge(METHOD.record(context, config), (), config) == found  # and goes on from what is there
    kl: dict[str, Any] = {lens: found.one("divergence_from_final", lens=lens, layer="0") for lens in ("logit", "tuned")}
    assert kl["logit"].n == 10
    gain = found.one("tuning_gain", layer="0")
    assert gain.value == pytest.approx(kl["logit"].value - kl["tuned"].value, abs=1e-5)
    few = replace(config, documents=9)
    texts.write_text('{"text": "w1 w2 w3 w4 w5 w6 w7"}\n' * 2)
    with pytest.raises(StepladderError, match="4 or more topics"):
        METHOD.record(context, few)
