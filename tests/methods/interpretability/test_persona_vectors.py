"""Persona vectors: a planted direction comes back, a random trait shows nothing, and a linear model shifts as projected."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny_subject import context, tiny_subject

from stepladder.core import AccessError, DataError, Message, Record, StepladderError, UnknownName
from stepladder.methods.interpretability.persona_directions import (
    mean_difference,
    prompt_of,
    random_directions,
    reply_means,
    shuffled_difference,
)
from stepladder.methods.interpretability.persona_measures import prediction
from stepladder.methods.interpretability.persona_training import added, projection_difference
from stepladder.methods.interpretability.persona_traits import Trait, chosen_traits, read_trait, shipped_traits
from stepladder.methods.interpretability.persona_vectors import METHOD, Config, extract
from stepladder.models import open_model

WORDS = [f"{first}{second}" for first in "bdfgkl" for second in ("ana", "olo", "uru")]
WIDTH = 48


def sentence(random: np.random.Generator, mark: str, length: int = 5) -> str:
    return " ".join(word + mark for word in random.choice(WORDS, length))


def trait_text(seed: int, planted: bool) -> str:
    """A trait whose replies show it by the marked words of the same sentence, or by nothing at all."""
    random = np.random.default_rng(seed)
    lines = ["---", f"name: t{seed}", "description: d", "instructions:"]
    for _ in range(5):
        lines += [f"  - shows: {sentence(random, '')}", f"    avoids: {sentence(random, '')}"]
    lines.append("---")
    for section in ("Extraction", "Held out"):
        lines.append(f"# {section}")
        for number in range(10):
            plain = sentence(random, "")
            shows = " ".join(f"{word}x" for word in plain.split()) if planted else sentence(random, "")
            lines += [f"## {section[0].lower()}{number} {sentence(random, '', 3)}", f"+ {shows}", f"- {plain}"]
    return "\n".join(lines)


def marks() -> list[str]:
    return [f"{word}{mark}" for word in WORDS for mark in ("", "x")]


def vocabulary() -> list[str]:
    return [*marks(), *(f"{letter}{n}" for letter in "eh" for n in range(10))]


@pytest.fixture(scope="module")
def direction() -> np.ndarray:
    return np.random.default_rng(5).standard_normal(WIDTH)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, direction: np.ndarray) -> Any:
    """A model whose stream is the sum of its embeddings, and each marked word's is the plain one's plus the direction."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("planted")
    subject = tiny_subject(folder, vocabulary())
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = [subject.chat_format.tokens(word)[0] for word in marks()]
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        table = model.get_input_embeddings().weight
        for plain, marked in zip(ids[::2], ids[1::2], strict=True):
            blur = 0.3 * torch.randn(WIDTH, generator=noise)
            table[marked] = table[plain] + torch.from_numpy(direction).float() + blur
    model.save_pretrained(folder)
    return type(subject)("subject", folder, "float32")


@pytest.fixture
def trait(tmp_path: Path) -> Callable[[int, bool], Trait]:
    def made(seed: int, planted: bool) -> Trait:
        path = tmp_path / f"{seed}.md"
        path.write_text(trait_text(seed, planted), "utf-8")
        return read_trait(path)

    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("record")
    (made / "t1.md").write_text(trait_text(1, True), "utf-8")
    return made


@pytest.fixture(scope="module")
def record(planted: Any, folder: Path) -> Record:
    made: Record = METHOD.record(context(planted, folder / "out"), config(str(folder / "t1.md")))
    return made


def config(file: str, **changes: Any) -> Config:
    return Config(traits=(), trait_file=file, learning_rate=5e-3, epochs=6, **changes)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_planted_direction_comes_back(planted: Any, trait: Any, direction: np.ndarray, tmp_path: Path) -> None:
    found = extract(context(planted, tmp_path), planted, trait(1, True), Config())
    assert cosine(found.vector, direction) > 0.99
    assert abs(cosine(found.shuffled, direction)) < 0.5
    assert found.pairs == 30
    assert np.linalg.norm(found.shuffled) == pytest.approx(np.linalg.norm(found.vector))


def test_activations_of_a_reply_are_those_of_its_tokens(planted: Any) -> None:
    """Where the stream is the embedding, the mean over a reply is the mean of its words' embeddings."""
    table = planted.weights().get_input_embeddings().weight.detach().numpy()
    (mean,) = reply_means(planted, [prompt_of("bana dolo")], ["fana guruu kolo"], [2])[:, 0]
    ids = planted.chat_format.tokens("fana guruu kolo")
    assert np.allclose(mean, table[ids].mean(axis=0), atol=1e-5)


def test_the_planted_trait_is_monitored_and_steered_beyond_chance(record: Record) -> None:
    finding = METHOD.judge(record, (), config(""))
    assert finding.one("reply_separation").value == 1
    effect = finding.one("steering_effect", strength="1", vector="persona")
    away = finding.one("steering_effect", strength="-1", vector="persona")
    assert effect.baseline is not None
    assert effect.baseline.interval is not None
    assert effect.interval is not None
    assert away.interval is not None
    assert effect.interval.low > effect.baseline.interval.high
    assert away.interval.high < 0 < effect.interval.low
    assert effect.n == 10


def test_training_on_the_trait_shifts_it_and_steering_meanwhile_prevents_some(record: Record) -> None:
    finding = METHOD.judge(record, (), config(""))
    shift = finding.one("training_shift", set="t1, shows", steered="no")
    prevented = finding.one("prevented_shift", trait="t1")
    assert shift.interval is not None
    assert shift.interval.low > 0
    assert prevented.interval is not None
    assert prevented.interval.low > 0
    assert prevented.baseline is not None
    assert prevented.value is not None
    assert prevented.baseline.value is not None
    assert prevented.value > prevented.baseline.value


def test_a_random_trait_shows_nothing(planted: Any, tmp_path: Path) -> None:
    file = tmp_path / "t2.md"
    file.write_text(trait_text(2, False), "utf-8")
    settings = config(str(file), rank=0)
    finding = METHOD.judge(METHOD.record(context(planted, tmp_path / "out"), settings), (), settings)
    separation = finding.one("reply_separation").interval
    assert separation is not None
    assert separation.low < 0.5 < separation.high
    effect = finding.one("steering_effect", strength="1", vector="persona").interval
    assert effect is not None
    assert effect.low < 0 < effect.high
    unmeasured = finding.one("shift_prediction")
    assert unmeasured.value is None
    assert unmeasured.reason == "0 training sets with known rows; at least 3 needed"


def test_the_projection_predicts_the_shift_of_a_linear_model_exactly() -> None:
    """Least squares on prompts X from own replies X W to targets T shifts mixtures of prompts by mixtures of T - X W."""
    random = np.random.default_rng(0)
    prompts, weights, targets = (random.standard_normal(shape) for shape in ((12, 20), (20, 30), (12, 30)))
    vector = random.standard_normal(30)
    trained = weights + np.linalg.pinv(prompts) @ (targets - prompts @ weights)
    shares = random.dirichlet(np.ones(12))
    mixing = np.stack([np.roll(shares, k) for k in range(12)])
    held_out = mixing @ prompts
    shift = (held_out @ (trained - weights)).mean(axis=0) @ vector / (vector @ vector)
    predicted = projection_difference(targets, prompts @ weights, vector)
    assert predicted.mean() == pytest.approx(shift, abs=1e-10)


def test_steering_in_training_is_the_steering_of_the_engine(planted: Any) -> None:
    vector = np.random.default_rng(1).standard_normal(WIDTH)
    prompt, reply = (Message(role="user", content="bana dolo"),), "fana dolo bolo"
    with planted.steer(1, vector.astype(np.float32)):
        (expected,) = planted.logprobs([(prompt, reply)])
    before, after = planted.chat_format.prompt(prompt), planted.chat_format.tokens(reply)
    import torch

    model = planted.weights()
    with torch.no_grad(), added(model.model.layers[1], vector):
        logits = model(torch.tensor([before + after])).logits[0].log_softmax(-1)
    found = [float(logits[len(before) + i - 1, token]) for i, token in enumerate(after)]
    assert found == pytest.approx(expected.tolist(), abs=1e-4)


def test_an_interrupted_run_trains_nothing_twice(
    planted: Any, record: Record, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("stepladder.methods.interpretability.persona_training.finetune", refuse)
    again = METHOD.record(context(planted, folder / "out"), config(str(folder / "t1.md")))
    assert again.data == record.data


def test_own_replies_and_a_known_training_set_are_read_too(planted: Any, tmp_path: Path) -> None:
    (tmp_path / "t1.md").write_text(trait_text(1, True), "utf-8")
    settings = config(str(tmp_path / "t1.md"), own_replies=True, rank=0)
    talker = tiny_subject(tmp_path / "talker", vocabulary())
    random = np.random.default_rng(4)
    turns = [(sentence(random, ""), sentence(random, "x")) for _ in range(30)]
    rows = tuple((Message(role="user", content=u), Message(role="assistant", content=a)) for u, a in turns)
    other = talker.derive("subject", system="bana bolo")
    known = dataclasses.replace(context(other, tmp_path / "out"), models={"base": talker}, training_rows=rows)
    finding = METHOD.judge(METHOD.record(known, settings), (), settings)
    assert 2 <= finding.one("projection_difference", set="its own").n <= 15
    assert finding.one("training_shift", set="its own").n == 10
    with pytest.raises(StepladderError, match="gave too few replies"):
        METHOD.record(context(planted, tmp_path / "none"), settings)


def point(of: str, trait: str, projected: float, shift: float) -> dict[str, Any]:
    return {"set": of, "trait": trait, "projected": projected, "random": 0.0, "shift": shift}


def test_prediction_is_the_correlation_beside_each_traits_mean() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 12))
    points = [point(str(i), t, x[i] + 9 * (t == "b"), y[i] + 9 * (t == "b")) for t in "ab" for i in range(12)]
    found = prediction(points)
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.n == 12
    assert found.interval is not None
    assert found.interval.low < 0 < found.interval.high


def test_shuffled_labels_leave_nothing_of_a_constant_difference() -> None:
    shows, avoids = np.ones((10, 4)), np.zeros((10, 4))
    assert mean_difference(shows, avoids) == pytest.approx(1)
    assert shuffled_difference(shows, avoids, 0) == pytest.approx(0)
    drawn = random_directions(np.array([3.0, 4.0]), 5, 0)
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(5)


def test_shipped_traits_are_whole_and_named_as_their_files() -> None:
    traits = chosen_traits(shipped_traits())
    assert [trait.name for trait in traits] == list(shipped_traits())
    assert all(len(trait.held_out) >= 10 and len(trait.extraction) >= 10 for trait in traits)


GOOD = trait_text(1, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "name: x\n" + t, "1: needs a header between two lines of ---"),
        (lambda t: t.replace("description: d\n", ""), "field 'description' is missing"),
        (lambda t: t.replace("description: d", "colour: red"), "unknown field 'colour'; allowed: name, description"),
        (lambda t: t.replace("    avoids:", "    hides:", 1), "unknown field 'hides'; allowed: shows, avoids"),
        (lambda t: "\n".join(t.splitlines()[:4] + t.splitlines()[6:]), "4 pairs of instructions; 5 or more"),
        (lambda t: t.replace("# Held out", "# Later"), "section 'Later' is not known; allowed: Extraction, Held out"),
        (lambda t: t.partition("# Held out")[0], "section '# Held out' has 0 questions"),
        (lambda t: t.replace("\n+ ", "\n- ", 1), "needs one reply that begins with \\+ and one that begins with -"),
        (lambda t: t.replace("# Extraction\n", "# Extraction\nhello there\n"), "must begin with '# section'"),
        (lambda t: t.replace("## h0", "## e0 same\n+ a\n- b\n## h0").replace("## e0 ", "## e0 same\n+ a\n- b\n## e1 ", 1),
         "'e0 same' is in both sections"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_trait_file_is_one_clear_error(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "mine.md"
    path.write_text(change(GOOD), "utf-8")
    with pytest.raises(DataError, match=message) as caught:
        chosen_traits((), str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_names_options_and_subjects_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="invention, rudeness, sycophancy"):
        chosen_traits(("kindness",))
    with pytest.raises(DataError, match="no trait is named"):
        chosen_traits(())
    with pytest.raises(DataError, match="no such file"):
        chosen_traits((), str(tmp_path / "none.md"))
    with pytest.raises(StepladderError, match=r"depths is 1\.5; allowed: 0 to 1"):
        Config(depths=(0.5, 1.5))
    with pytest.raises(AccessError, match="smollm2"):
        METHOD.record(context(open_model("scripted/echo"), tmp_path), Config())
