"""Dictionaries against the formulas of their papers, written out latent by latent."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from stepladder.core.errors import StepladderError  # noqa: E402
from stepladder.methods.interpretability.dictionary import Dictionary, random_dictionary  # noqa: E402
from stepladder.methods.interpretability.sae_config import ARCHITECTURES  # noqa: E402

D, L, K = 6, 20, 3


def made(architecture: str, **changes: object) -> Dictionary:
    g = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    given = {"W_enc": normal(D, L), "b_enc": normal(L), "W_dec": normal(L, D), "b_dec": normal(D)}
    given |= {"threshold": normal(L).abs(), **{name: normal(L) for name in ("b_gate", "r_mag", "b_mag")}}
    return Dictionary(**({"architecture": architecture, "k": K} | given | changes))


def by_the_paper(d: Dictionary, x: torch.Tensor) -> list[list[float]]:
    """Codes of each row by scalar arithmetic."""
    rows = []
    for row in x.tolist():
        centred = [a - b for a, b in zip(row, d.b_dec.tolist(), strict=True)] if d.apply_b_dec_to_input else row
        raw = [sum(a * d.W_enc[i, j].item() for i, a in enumerate(centred)) for j in range(L)]
        p = [r + d.b_enc[j].item() for j, r in enumerate(raw)]
        if d.architecture == "standard":
            codes = [max(v, 0.0) for v in p]
        elif d.architecture == "topk":
            kept = sorted(range(L), key=lambda j: -p[j])[:K]
            codes = [max(v, 0.0) if j in kept else 0.0 for j, v in enumerate(p)]
        elif d.architecture == "gated":
            size = [r * d.r_mag[j].exp().item() + d.b_mag[j].item() for j, r in enumerate(raw)]
            codes = [max(s, 0.0) if raw[j] + d.b_gate[j].item() > 0 else 0.0 for j, s in enumerate(size)]
        else:
            codes = [v if v > d.threshold[j].item() else 0.0 for j, v in enumerate(p)]
        rows.append(codes)
    return rows


@pytest.mark.parametrize("bias_first", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_codes_are_those_of_the_paper(architecture: str, bias_first: bool) -> None:
    d, x = made(architecture, apply_b_dec_to_input=bias_first), torch.randn(9, D, generator=torch.Generator().manual_seed(2))
    wanted = torch.tensor(by_the_paper(d, x))
    torch.testing.assert_close(d.encode(x), wanted, rtol=1e-5, atol=1e-5)
    latents, values = d.active(x)
    torch.testing.assert_close(torch.zeros(9, L).scatter_add_(1, latents, values), wanted, rtol=1e-5, atol=1e-5)
    assert (values.diff(dim=1) <= 1e-5).all()
    torch.testing.assert_close(d.reconstruct(x), d.decode(wanted), rtol=1e-5, atol=1e-5)


def test_no_rows_are_no_codes() -> None:
    for architecture in ARCHITECTURES:
        assert made(architecture).reconstruct(torch.zeros(0, D)).shape == (0, D)


def test_a_dictionary_that_lacks_what_its_architecture_needs_is_refused() -> None:
    with pytest.raises(StepladderError, match="needs threshold of shape"):
        made("jumprelu", threshold=None)
    with pytest.raises(StepladderError, match="allowed: standard, topk"):
        made("sparse")
    with pytest.raises(StepladderError, match="k = 21; allowed: 1 to 20"):
        made("topk", k=21)


def test_random_directions_are_units_and_keep_the_place() -> None:
    d = random_dictionary(dataclasses.replace(made("jumprelu"), layer=3, site="mlp"), k=2)
    torch.testing.assert_close(d.W_dec.norm(dim=1), torch.ones(L))
    assert (d.layer, d.site, d.k) == (3, "mlp", 2)
