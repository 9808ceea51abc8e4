"""Names, folders and what can be wrong with them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepladder.core.errors import ModelUnavailable, UnknownName
from stepladder.core.method import Access
from stepladder.core.values import Message
from stepladder.models import model_table, open_model
from stepladder.models.local.loading import folder_hash


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, stepladder.models as m; m.open_model('scripted/demo'); m.model_table();"
        "print([x for x in ('torch', 'transformers', 'inspect_ai') if x in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_folder_opens_with_the_whole_ladder_of_access(folders: dict[str, Path], capfd: Any) -> None:
    model = open_model(f"hf/{folders['llama']}")
    assert (model.access, model.batch) == (Access.weights, 64)
    assert model.count_tokens("the word") == 2  # type: ignore[attr-defined]
    assert model.layers == 4  # type: ignore[attr-defined]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["gpt5", "hf/", "nowhere/model", ""])
def test_an_unknown_name_is_told_what_is_allowed(name: str) -> None:
    with pytest.raises(UnknownName, match=r"smollm2.*scripted/<name>"):
        open_model(name)


def test_a_model_that_is_nowhere_is_told_how_to_get_it() -> None:
    with pytest.raises(ModelUnavailable, match="hf download nobody/nothing"):
        open_model("hf/nobody/nothing")


def test_pickled_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["llama"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match=r"no \.safetensors"):
        open_model(f"hf/{tmp_path / 'm'}")


@pytest.mark.parametrize(
    ("file", "content"), [("config.json", "{"), ("config.json", '{"model_type": "martian"}'), ("model.safetensors", "no")]
)
def test_a_broken_folder_is_one_clear_line(folders: dict[str, Path], tmp_path: Path, file: str, content: str) -> None:
    shutil.copytree(folders["llama"], tmp_path / "möel")
    (tmp_path / "möel" / file).write_text(content)
    with pytest.raises(ModelUnavailable, match="cannot read the") as caught:
        open_model(f"hf/{tmp_path / 'möel'}").activations([(Message(role="user", content="a"),)], [0])  # type: ignore[attr-defined]
    assert "\n" not in str(caught.value)


def test_code_in_a_models_folder_is_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["llama"], tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelUnavailable):
        open_model(f"hf/{tmp_path / 'm'}").layers  # type: ignore[attr-defined]  # noqa: B018
    assert not (tmp_path / "ran").exists()


def test_the_hash_is_kept_and_follows_the_files(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["llama"], tmp_path / "m")
    first = folder_hash(tmp_path / "m", tmp_path / "side")
    assert folder_hash(tmp_path / "m", tmp_path / "side") == first
    assert len(list((tmp_path / "side").iterdir())) == 1
    weights = bytearray((tmp_path / "m" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "m" / "model.safetensors").write_bytes(weights)
    assert folder_hash(tmp_path / "m", tmp_path / "side") != first
    assert folder_hash(tmp_path / "m", Path("/proc/nowhere")) != first


def test_the_table_names_every_form_and_how_to_get_it() -> None:
    table = {info.name: info for info in model_table()}
    assert {"smollm2", "hf/<id or folder>", "scripted/demo", "<Inspect provider>/<model>"} <= table.keys()
    assert all(info.how and info.access in Access.__members__ for info in table.values())


def test_the_embedded_model_answers_a_plain_question(smollm2: Any, replies: Any) -> None:
    from tiny_models import ask

    reply = replies(smollm2, [ask("What is the capital of France?", max_tokens=16)])[0]
    assert "Paris" in reply.text
    assert reply.stop_reason == "stop"


def test_the_embedded_models_prompt_is_chatml_with_its_default_system_message(smollm2: Any) -> None:
    text = smollm2.chat_format.tokenizer.decode(smollm2.chat_format.prompt((Message(role="user", content="hi"),)))
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.slow
def test_the_embedded_models_default_precision_stays_near_float32(smollm2: Any) -> None:
    import numpy as np

    from stepladder.models.local.model import LocalModel

    exact, question = (
        LocalModel("exact", smollm2.folder, "float32"),
        (Message(role="user", content="What is the capital of France?"),),
    )
    a, b = (m.activations([question], [15])[0] for m in (exact, smollm2))
    assert np.linalg.norm(a - b) / np.linalg.norm(a) < 0.01
    answers = [(question, text) for text in ("Paris", "The capital of France is Paris.", "London")]
    for p, q in zip(exact.logprobs(answers), smollm2.logprobs(answers), strict=True):
        np.testing.assert_allclose(p, q, atol=0.25)


@pytest.mark.slow
def test_converting_twice_at_once_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from stepladder.models.local import embedded

    if embedded.gguf_path() is None:
        pytest.skip(f"the embedded model is not installed: {embedded.HOW}")
    monkeypatch.setenv("STEPLADDER_CACHE", str(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: embedded.embedded_folder(), range(2)))
    assert made[0] == made[1]
    assert [p.name for p in (tmp_path / "models").iterdir()] == [made[0].name]
