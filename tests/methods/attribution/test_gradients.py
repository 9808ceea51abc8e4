"""Against autograd's own gradients, on a small network and on tiny transformers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stepladder.methods.attribution.gradients import products, row_gradients, stacked, trace
from stepladder.methods.attribution.replies import Reply, batches_of, chosen_modules, reply_losses, reply_traces
from stepladder.models.local.linear import fast_products

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

from tiny_models import tiny_gpt2, tiny_llama

torch = pytest.importorskip("torch")

ROWS = [Reply(tuple(range(3, 3 + n)), start) for n, start in ((9, 4), (5, 1), (12, 10), (5, 3), (7, 1))]


def autograd(model, reply, weight):
    model.requires_grad_(True)
    return torch.autograd.grad(reply_losses(model, [reply])[0], weight)[0]


@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2])
def test_the_sum_over_tokens_is_the_gradient(make) -> None:
    torch.manual_seed(0)
    model = make(40)
    traces = reply_traces(model, ROWS, [1, 2])
    for name, module in chosen_modules(model, [1, 2]).items():
        made = stacked(traces.inputs[name], traces.gradients[name], traces.starts)
        for gradient, reply in zip(made, ROWS, strict=True):
            expected = autograd(model, reply, module.weight)
            torch.testing.assert_close(gradient, expected if make is tiny_llama else expected.T, rtol=1e-4, atol=1e-5)


def test_other_batches_and_files_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = tiny_llama(40)
    one = reply_traces(model, ROWS, [1])
    monkeypatch.setattr("stepladder.methods.attribution.replies.BATCH_TOKENS", 1)
    monkeypatch.setattr("stepladder.methods.attribution.gradients.MEMORY", 0)
    other = reply_traces(model, ROWS, [1], tmp_path)
    assert list(tmp_path.iterdir())
    torch.testing.assert_close(one.losses, other.losses, rtol=1e-5, atol=1e-6)
    for name in one.layers:
        torch.testing.assert_close(one.inputs[name], other.inputs[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.gradients[name], other.gradients[name], rtol=1e-4, atol=1e-5)


def test_layers_that_read_the_same_share_their_inputs() -> None:
    torch.manual_seed(0)
    traces = reply_traces(tiny_llama(40), ROWS, [1])
    gate, up, down = traces.layers
    assert traces.inputs[gate] is traces.inputs[up]
    assert traces.inputs[gate] is not traces.inputs[down]


def test_the_backward_pass_ends_at_the_lowest_layer() -> None:
    torch.manual_seed(0)
    model = tiny_llama(40)
    seen = []
    model.model.layers[0].mlp.down_proj.register_forward_hook(lambda _m, _i, out: seen.append(out.requires_grad))
    reply_traces(model, ROWS, [2])
    assert seen
    assert not any(seen)


def test_rows_of_one_token_are_vectors() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 3, bias=False).requires_grad_(False)
    x, y = torch.randn(7, 4), torch.randn(7, 3)
    traces = trace(
        {"w": layer}, [1] * 7, [[4, 1, 0], [2, 3, 5, 6]], lambda rows: ((layer(x[rows]) - y[rows]) ** 2).sum(1) / 2
    )
    expected = torch.einsum("no,ni->noi", x @ layer.weight.T - y, x)
    torch.testing.assert_close(stacked(traces.inputs["w"], traces.gradients["w"], traces.starts), expected)


@pytest.mark.parametrize("room", [1 << 28, 4 * 30 * 3, 1])
def test_products_are_inner_products(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepladder.methods.attribution.gradients.GRADIENT_BYTES", room)
    torch.manual_seed(0)
    starts = [0, 3, 4, 40, 41, *range(42, 62)]
    inputs, gradients, weights = torch.randn(61, 6), torch.randn(61, 5), torch.randn(2, 5, 6)
    expected = torch.einsum("qoi,noi->qn", weights, stacked(inputs, gradients, starts))
    torch.testing.assert_close(products(weights, inputs, gradients, starts), expected)
    assert sum(part.stop - part.start for part, _ in row_gradients(inputs, gradients, starts)) == 24


def test_batches_hold_every_row_once_and_not_too_much() -> None:
    lengths = [5, 700, 2000, 3, 600, 300]
    batches = batches_of(lengths)
    assert sorted(row for batch in batches for row in batch) == list(range(6))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 1024 for b in batches)


def test_fast_products_are_as_exact_as_float32() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(300, 500), torch.randn(500, 200)
    exact = a.double() @ b.double()
    with fast_products():
        fast = a @ b
    assert (fast - exact).norm() / exact.norm() < 3e-6
    assert torch.equal(a @ b, a @ b)
