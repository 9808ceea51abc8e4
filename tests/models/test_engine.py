"""The engine against transformers in float32, on tiny random models of three architectures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_models import ask, sentences

from stepladder.core.values import Message, Request
from stepladder.models.local.generate import generate
from stepladder.models.local.history import BLOCK, History
from stepladder.models.local.prefill import TOKEN_BUDGET, batches, shared_prefix
from stepladder.models.local.sampling import Job, choose, invert

CHAT = "<|system|> you are the one <|end|> <|user|> what is it <|end|> <|assistant|>"


def run(model: Any, jobs: list[Job], **options: Any) -> list[Any]:
    with torch.inference_mode():
        return generate(model._trunk(), jobs, model._ends, **options)


def reference(hf: Any, prompt: tuple[int, ...], new: int) -> list[int]:
    with torch.inference_mode():
        ids = torch.tensor([prompt])
        out = hf.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, pad_token_id=0)
    return out[0, len(prompt) :].tolist()


def prompts(model: Any, count: int, seed: int = 0) -> list[tuple[int, ...]]:
    return [tuple(model.chat_format.prompt((Message(role="user", content=s),))) for s in sentences(count, seed)]


def reference_logits(hf: Any, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return hf(torch.tensor([tokens])).logits[0]


def test_greedy_tokens_equal_those_of_transformers_for_every_row_of_a_padded_batch(pair: tuple[Any, Any]) -> None:
    model, hf = pair
    asked = prompts(model, 12)
    for prompt, result in zip(asked, run(model, [Job(p, 20) for p in asked]), strict=True):
        expected = reference(hf, prompt, 20)
        stopped = 0 in expected
        assert result.tokens == (expected[: expected.index(0)] if stopped else expected)
        assert result.stop_reason == ("stop" if stopped else "max_tokens")


def test_both_stop_reasons_occur(llama: tuple[Any, Any]) -> None:
    model, _ = llama
    found = {result.stop_reason for result in run(model, [Job(p, 20, temperature=1.0) for p in prompts(model, 40)])}
    assert found == {"stop", "max_tokens"}


def test_forward_logits_equal_those_of_transformers(pair: tuple[Any, Any]) -> None:
    model, hf = pair
    for prompt in prompts(model, 4):
        ids, positions = torch.tensor([prompt]), torch.arange(len(prompt))[None]
        with torch.inference_mode():
            trunk = model._trunk()
            logits = trunk.logits(trunk.forward(ids, positions, None, None, None)[0])
        torch.testing.assert_close(logits, reference_logits(hf, list(prompt)), rtol=1e-4, atol=1e-4)


def test_sharing_a_batch_changes_no_token_and_no_logprob(pair: tuple[Any, Any]) -> None:
    model, _ = pair
    jobs = [Job(p, 15, temperature=0.9, seed=i) for i, p in enumerate(prompts(model, 10))]
    together = run(model, jobs)
    for job, result in zip(jobs, together, strict=True):
        alone = run(model, [job])[0]
        assert alone.tokens == result.tokens
        np.testing.assert_allclose(alone.logprobs, result.logprobs, atol=1e-4)


def test_a_prefix_read_once_changes_nothing(pair: tuple[Any, Any]) -> None:
    model, hf = pair
    long = model.chat_format.tokens(" ".join(sentences(3, seed=5)))
    asked = [tuple(long + model.chat_format.tokens(s)) for s in sentences(5, seed=6)]
    assert shared_prefix(asked) >= len(long)
    for prompt, result in zip(asked, run(model, [Job(p, 10) for p in asked]), strict=True):
        expected = reference(hf, prompt, 10)
        assert result.tokens == (expected[: expected.index(0)] if 0 in expected else expected)


def test_equal_prompts_are_read_once_and_answered_each(llama: tuple[Any, Any]) -> None:
    model, _ = llama
    prompt = prompts(model, 1)[0]
    jobs = [Job(prompt, 12, temperature=1.0, seed=seed) for seed in (0, 1, 0)]
    first, second, third = run(model, jobs)
    assert first.tokens == third.tokens != second.tokens


def test_logprobs_are_the_log_softmax_of_transformers_logits(pair: tuple[Any, Any]) -> None:
    model, hf = pair
    prompt = prompts(model, 1)[0]
    result = run(model, [Job(prompt, 10, temperature=1.3, seed=3)])[0]
    tokens = [*prompt, *result.tokens, 0][: len(prompt) + len(result.logprobs)]
    expected = reference_logits(hf, tokens).log_softmax(-1)
    chosen = [expected[i - 1, tokens[i]].item() for i in range(len(prompt), len(tokens))]
    np.testing.assert_allclose(result.logprobs, chosen, atol=1e-3)


def test_teacher_forced_logprobs_equal_the_log_softmax_of_transformers(pair: tuple[Any, Any]) -> None:
    model, hf = pair
    texts = sentences(9, seed=2)
    pairs = [((Message(role="user", content=texts[i % 4]),), " ".join(texts[i].split()[: 1 + i])) for i in range(9)]
    for (messages, text), found in zip(pairs, model.logprobs(pairs), strict=True):
        prompt, tail = model.chat_format.prompt(messages), model.chat_format.tokens(text)
        logits = reference_logits(hf, prompt + tail).log_softmax(-1)
        expected = [logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(tail)]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_empty_continuation_has_no_logprobs(llama: tuple[Any, Any]) -> None:
    model, _ = llama
    question = (Message(role="user", content="what is it"),)
    assert [len(found) for found in model.logprobs([(question, ""), (question, "the word")])] == [0, 2]


def test_sampled_tokens_are_as_frequent_as_the_softmax_says(llama: tuple[Any, Any]) -> None:
    model, hf = llama
    prompt, draws, heat = prompts(model, 1)[0], 3000, 1.5
    jobs = [Job(prompt, 1, temperature=heat, seed=seed) for seed in range(draws)]
    seen = np.zeros(hf.config.vocab_size)
    for start in range(0, draws, 500):
        for result in run(model, jobs[start : start + 500]):
            seen[result.tokens[0] if result.tokens else 0] += 1
    expected = (reference_logits(hf, list(prompt))[-1].double() / heat).softmax(-1).numpy() * draws
    rare = expected < 5
    observed = np.append(seen[~rare], seen[rare].sum())
    assert stats.chisquare(observed, np.append(expected[~rare], expected[rare].sum())).pvalue > 1e-3


def test_inverting_in_blocks_is_inverting_the_whole_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.softmax(3 * torch.randn(400, 1000, generator=generator), -1)
    at = torch.rand(400, dtype=torch.float64, generator=generator)
    whole = probabilities.double().cumsum(-1)
    assert torch.equal(invert(probabilities, at), (whole <= at[:, None] * whole[:, -1:]).sum(-1))


def test_inverting_the_distribution_never_picks_what_has_no_probability() -> None:
    probabilities = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).repeat(4, 1)
    at = torch.tensor([0.0, 0.25, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert invert(probabilities, at).tolist() == [1, 3, 3, 3]


def test_a_bias_moves_the_choice_but_not_the_reported_logprob() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0]])
    tokens, logprobs = choose(logits, [Job((1,), 1, bias={2: 100.0})], [0.0])
    assert tokens == [2]
    assert logprobs[0] == pytest.approx(logits.log_softmax(-1)[0, 2].item())


def test_uniform_numbers_depend_on_seed_and_prompt_and_on_nothing_else() -> None:
    job = Job((1, 2, 3), 5, temperature=1.0, seed=4)
    same = dataclasses.replace(job, temperature=0.1, bias={1: 2.0})
    assert np.array_equal(job.uniforms(), same.uniforms())
    assert not np.array_equal(job.uniforms(), dataclasses.replace(job, seed=5).uniforms())
    assert not np.array_equal(job.uniforms(), dataclasses.replace(job, prompt=(1, 2, 4)).uniforms())


def test_a_conversation_continued_from_kept_blocks_is_the_same_to_the_last_bit(pair: tuple[Any, Any]) -> None:
    model, hf = pair
    tokens = model.chat_format.tokens(" ".join(sentences(40, seed=8)))
    history = History()
    for length in (BLOCK + 10, 2 * BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 30):
        job = Job(tuple(tokens[:length]), 8, conversation=True)
        warm, cold = run(model, [job], history=history)[0], run(model, [job], history=History())[0]
        assert warm.logprobs == cold.logprobs
        expected = reference(hf, job.prompt, 8)
        assert warm.tokens == (expected[: expected.index(0)] if 0 in expected else expected)
    assert history.hits >= 4


def test_conversations_and_single_questions_share_a_batch(llama: tuple[Any, Any]) -> None:
    model, _ = llama
    tokens = model.chat_format.tokens(" ".join(sentences(20, seed=9)))
    asked = prompts(model, 4)
    jobs = [Job(asked[0], 9), Job(tuple(tokens[:150]), 9, conversation=True), *(Job(p, 9) for p in asked[1:])]
    mixed = run(model, jobs, history=History())
    assert [r.tokens for r in mixed] == [run(model, [job])[0].tokens for job in jobs]


def test_kept_blocks_stay_within_their_memory(llama: tuple[Any, Any]) -> None:
    model, _ = llama
    tokens = model.chat_format.tokens(" ".join(sentences(30, seed=10)))
    history = History(memory=40_000)
    run(model, [Job(tuple(tokens[:400]), 1, conversation=True)], history=history)
    assert 0 < history.used <= 40_000


@pytest.mark.parametrize("lengths", [[5], [900, 900, 900], [4000, 10, 10], [64] * 100])
def test_batches_hold_every_row_once_and_keep_to_the_budget(lengths: list[int]) -> None:
    cuts = batches(lengths)
    assert [row for cut in cuts for row in range(cut.start, cut.stop)] == list(range(len(lengths)))
    for cut in cuts:
        rows = lengths[cut]
        assert len(rows) == 1 or len(rows) * max(rows) <= TOKEN_BUDGET


def test_the_same_list_gives_the_same_replies_whatever_was_asked_before(llama: tuple[Any, Any], replies: Any) -> None:
    model, _ = llama
    requests = [ask(s, temperature=1.0, seed=i, max_tokens=8) for i, s in enumerate(sentences(6, seed=11))]
    talk = Request(
        id="talk", max_tokens=8,
        messages=tuple(Message(role=("user", "assistant")[i % 2], content=s) for i, s in enumerate(sentences(9, seed=12))),
    )  # fmt: skip
    first = replies(model, [*requests, talk])
    replies(model, [talk, *requests[:2]])
    again = replies(model, [*requests, talk])
    assert [(r.text, r.logprobs) for r in first] == [(r.text, r.logprobs) for r in again]


def test_a_prefill_is_continued_and_not_repeated(llama: tuple[Any, Any], replies: Any) -> None:
    model, hf = llama
    messages = (Message(role="user", content="what is it"), Message(role="assistant", content="it is the"))
    reply = replies(model, [Request(id="p", messages=messages, max_tokens=6)])[0]
    prompt = model.chat_format.tokens("<|user|> what is it <|end|> <|assistant|> it is the")
    expected = reference(hf, tuple(prompt), 6)
    assert reply.text == model.chat_format.text(expected[: expected.index(0)] if 0 in expected else expected)
    assert reply.tokens_in == len(prompt)


def test_a_prompt_beyond_the_context_is_an_error_reply_and_the_others_are_answered(
    llama: tuple[Any, Any], replies: Any
) -> None:
    model, _ = llama
    long, short = replies(model, [ask("the " * 600, max_tokens=4), ask("the word", max_tokens=4)])
    assert "do not fit the context of 512" in long.error
    assert short.text is not None
