"""The sparse step against the dense loss in float32, differentiated by autograd."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from stepladder.methods.interpretability import sae_kernels as kernels  # noqa: E402

D, L, K, N = 24, 256, 8, 96


def weights(d_in: int = D, d_out: int = D, latents: int = L) -> kernels.Weights:
    g = torch.Generator().manual_seed(3)
    shapes = ((latents, d_in), (latents,), (latents, d_out), (d_out,))
    return kernels.Weights(*(torch.randn(*shape, generator=g) for shape in shapes))


def rows(n: int = N, d: int = D, seed: int = 4) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def dense_codes(w: kernels.Weights, x: torch.Tensor, in_batch: bool) -> torch.Tensor:
    """TopK by sorting everything."""
    pre = x @ w.encoder.t() + w.b_enc
    pool = pre.flatten().relu() if in_batch else pre
    kept = pool.sort(descending=True).values[K * len(x) - 1] if in_batch else pool.sort(dim=1).values[:, -K, None]
    return pre.relu() * (pre >= kept)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"], autouse=True)
def picking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "pick_type", lambda x: request.param)


@pytest.mark.parametrize(("m", "k"), [(8192, 32), (1024, 8), (100, 7), (64, 64), (48, 1), (8192, 8192)])
def test_grouped_search_finds_the_largest(m: int, k: int) -> None:
    values = rows(200, m)
    found = values.gather(1, kernels.top_k(values, k)).sort(dim=1).values
    assert torch.equal(found, values.sort(dim=1).values[:, -k:])


@pytest.mark.parametrize("prefixes", [(), (32, 100, L)])
@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("transcoder", [False, True])
def test_gradients_are_those_of_the_dense_loss(transcoder: bool, in_batch: bool, prefixes: tuple[int, ...]) -> None:
    w = weights(d_out=10 if transcoder else D)
    x, wanted = rows(), rows(d=10, seed=5) if transcoder else rows()
    pick = kernels.pick_in_batch if in_batch else kernels.pick
    read = x if transcoder else x - w.b_dec
    loss, found, error = kernels.gradients(w, read, wanted, pick(w, read, K), prefixes, centred=not transcoder)

    leaves = kernels.Weights(*(t.clone().requires_grad_() for t in (w.encoder, w.b_enc, w.decoder, w.b_dec)))
    codes = dense_codes(leaves, x if transcoder else x - leaves.b_dec, in_batch)
    made = [codes[:, :p] @ leaves.decoder[:p] + leaves.b_dec for p in prefixes or (L,)]
    dense = torch.stack([(y - wanted).square().sum(1).mean() for y in made]).mean()
    dense.backward()

    torch.testing.assert_close(loss, dense.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(error, (made[-1] - wanted).detach(), rtol=1e-4, atol=1e-4)
    for name in ("encoder", "b_enc", "decoder", "b_dec"):
        wished = getattr(leaves, name).grad
        assert (getattr(found, name) - wished).norm() <= 2e-6 * wished.norm(), name


def test_a_row_without_active_latents_is_decoded_to_nothing() -> None:
    w = weights()
    w.b_enc.fill_(-1e3)
    codes = kernels.pick_in_batch(w, rows(), K)
    assert len(codes.latents) == 0
    assert torch.equal(kernels.decode(codes, w.decoder), torch.zeros(N, D))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_an_accelerator_gives_the_same_gradients() -> None:
    w, x = weights(), rows()
    there = kernels.Weights(*(t.cuda() for t in (w.encoder, w.b_enc, w.decoder, w.b_dec)))
    loss, by, _ = kernels.gradients(w, x - w.b_dec, x, kernels.pick(w, x - w.b_dec, K))
    read = x.cuda() - there.b_dec
    same, found, _ = kernels.gradients(there, read, x.cuda(), kernels.pick(there, read, K))
    torch.testing.assert_close(same.cpu(), loss, rtol=1e-5, atol=1e-5)
    for name in ("encoder", "b_enc", "decoder", "b_dec"):
        torch.testing.assert_close(getattr(found, name).cpu(), getattr(by, name), rtol=1e-4, atol=1e-4)
