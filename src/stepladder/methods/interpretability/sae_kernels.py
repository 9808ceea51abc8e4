"""The sparse step of training: dense work is one product, everything after it costs as much as the active latents.

A code has some 32 active latents of thousands. Which ones they are is decided from preactivations in bfloat16, computed in
row chunks that stay in the processor's cache; those picked are scored again in float32, and decoding and the gradients are
taken in float32 over the picked alone, as weighted sums of rows ("embedding bags") along the sparse matrix and its
transpose. The gradients are those of the dense loss, without autograd (Gao et al., arXiv:2406.04093, on kernels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

_CHUNK = 512
"""Rows of preactivations made at a time: 512 x 8,192 of bfloat16 are 8 MB."""
_SPARE = 8
"""Candidates beyond k: rounding to bfloat16 may swap latents that lie next to each other around the k-th place."""


@dataclass(frozen=True)
class Codes:
    """Sparse codes (n, latents), row after row: entry e has value `values[e]` at (`rows[e]`, `latents[e]`)."""

    latents: Tensor
    values: Tensor
    rows: Tensor
    starts: Tensor
    """First entry of each row, (n)."""

    def select(self, kept: Tensor) -> Codes:
        """Only the entries marked in `kept`."""
        rows = self.rows[kept]
        places = torch.arange(len(self.starts), device=rows.device)
        return Codes(self.latents[kept], self.values[kept], rows, torch.searchsorted(rows, places))


@dataclass(frozen=True)
class Weights:
    """An encoder and decoder with a latent a row: (latents, d_in), (latents), (latents, d_out), (d_out)."""

    encoder: Tensor
    b_enc: Tensor
    decoder: Tensor
    b_dec: Tensor


def top_k(values: Tensor, k: int) -> Tensor:
    """Columns of the k largest of each row (n, m), in no order: (n, k). Exact; of equal values any.

    All of them lie in the k groups of columns with the largest maxima, so it is enough to look for those groups, and then
    among their members.
    """
    n, m = values.shape
    group = 1
    while m % (2 * group) == 0 and group * group * k <= m and m // (2 * group) >= 2 * k:
        group *= 2
    if group < 4 or values.device.type != "cpu":
        return _largest(values, k)
    groups = m // group
    table = values.view(n, group, groups)
    best = _largest(table.amax(1), k)
    members = table.gather(2, best[:, None, :].expand(n, group, k)).view(n, group * k)
    place = _largest(members, k)
    return place // k * groups + best.gather(1, place % k)


def _largest(values: Tensor, k: int) -> Tensor:
    """`top_k` without groups. On processors numpy's partition of whole numbers, an order of magnitude before torch's topk.

    A number's bits, read as an integer and turned round below zero, are ordered as the numbers are; the column rides in the
    lower half of a 64-bit key.
    """
    if values.device.type != "cpu":
        return values.topk(k, dim=1, sorted=False).indices
    m = values.shape[1]
    bits = values.float().contiguous().view(torch.int32)
    keys = (bits ^ (bits >> 31 & 0x7FFFFFFF)).long() << 32 | torch.arange(m)
    return torch.from_numpy(np.partition(keys.numpy(), m - k, axis=1)[:, m - k :]) & 0xFFFFFFFF


def pick(weights: Weights, x: Tensor, k: int) -> Codes:
    """The k largest preactivations of each row of x (n, d_in), cut at zero; x is as the encoder reads it."""
    wide = min(k + _SPARE, len(weights.encoder))
    values, latents = _candidates(weights, x, wide)
    values, best = values.topk(k, dim=1, sorted=False)
    return _codes(latents.gather(1, best), values.relu_())


def pick_in_batch(weights: Weights, x: Tensor, k: int, most: int = 4) -> Codes:
    """The k x n largest positive preactivations of the whole batch (n, d_in), at most `most` x k in one row."""
    wide = min(most * k, len(weights.encoder))
    values, latents = _candidates(weights, x, wide)
    flat = values.relu_().view(-1)
    kept = torch.zeros_like(flat, dtype=torch.bool)
    kept[flat.topk(min(k * len(x), flat.numel()), sorted=False).indices] = True
    return _codes(latents, values).select(kept & (flat > 0))


def decode(codes: Codes, decoder: Tensor) -> Tensor:
    """Codes times decoder (latents, d_out): (n, d_out)."""
    return embedding_bag(codes.latents, decoder, codes.starts, mode="sum", per_sample_weights=codes.values)


def dots(x: Tensor, table: Tensor, codes: Codes) -> Tensor:
    """For each entry the product of its row of x (n, d) with its latent's row of the table (latents, d)."""
    product: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        x, table, codes.latents, codes.starts, codes.rows, 0, -1
    )
    return product


def gradients(
    weights: Weights, x: Tensor, wanted: Tensor, codes: Codes, prefixes: Sequence[int] = (), centred: bool = True
) -> tuple[Tensor, Weights, Tensor]:
    """Loss, its gradient by every weight, and the error of the whole reconstruction (n, d_out).

    The loss is the squared error of decode(codes) against `wanted` (n, d_out), summed over d_out and averaged over rows;
    with `prefixes` the mean of that loss over the codes cut to their first `p` latents, for each p, which end at all of
    them. `x` (n, d_in) is what the encoder read; where it is `centred`, b_dec was taken off before.
    """
    parts = _parts(codes, prefixes)
    errors = _errors(weights, wanted, [decode(part, weights.decoder) for part in parts])
    loss = torch.stack([error.square().sum() for error in errors]).sum()
    pushes = _suffix_sums(errors)
    made = [_table_gradients(weights, x, push, part) for push, part in zip(pushes, parts, strict=True)]
    encoder, b_enc, decoder = (torch.stack(g).sum(0) if len(g) > 1 else g[0] for g in zip(*made, strict=True))
    b_dec = pushes[0].sum(0)
    if centred:
        b_dec = b_dec - b_enc @ weights.encoder
    share = 1 / (len(x) * len(parts))
    by = Weights(*(g.mul_(2 * share) for g in (encoder, b_enc, decoder, b_dec)))
    return loss * share, by, errors[-1]


def _candidates(weights: Weights, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Float32 preactivations and latents (n, k) of what is largest in the low precision."""
    low = pick_type(x)
    rows, columns, bias = x.to(low), weights.encoder.to(low).t(), weights.b_enc.to(low)
    latents = torch.cat([top_k(torch.addmm(bias, part, columns), k) for part in torch.split(rows, _CHUNK)])
    scored = dots(x, weights.encoder, _codes(latents, x)).view_as(latents) + weights.b_enc[latents]
    return scored, latents


def pick_type(x: Tensor) -> torch.dtype:
    """The type in which candidates are looked for: bfloat16 where products in it are fast, float32 elsewhere."""
    if x.device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def _codes(latents: Tensor, values: Tensor) -> Codes:
    """Codes of latents (n, k) that are equally many in each row."""
    n, k = latents.shape
    places = torch.arange(n, device=latents.device)
    return Codes(latents.reshape(-1), values.reshape(-1), places.repeat_interleave(k), places * k)


def _parts(codes: Codes, prefixes: Sequence[int]) -> list[Codes]:
    """The codes by the prefix in which their latent first appears."""
    if len(prefixes) < 2:
        return [codes]
    ends = torch.tensor(prefixes, device=codes.latents.device)
    group = torch.bucketize(codes.latents, ends, right=True)
    return [codes.select(group == g) for g in range(len(prefixes))]


def _errors(weights: Weights, wanted: Tensor, decoded: list[Tensor]) -> list[Tensor]:
    """What each prefix's reconstruction lacks, from the shortest on."""
    errors = [decoded[0].add_(weights.b_dec).sub_(wanted)]
    for more in decoded[1:]:
        errors.append(errors[-1] + more)
    return errors


def _suffix_sums(errors: list[Tensor]) -> list[Tensor]:
    """A latent of group g is in every prefix from g on: the sum of their errors."""
    sums = [errors[-1]]
    for error in reversed(errors[:-1]):
        sums.append(sums[-1] + error)
    return sums[::-1]


def _table_gradients(weights: Weights, x: Tensor, push: Tensor, codes: Codes) -> tuple[Tensor, Tensor, Tensor]:
    """By encoder, b_enc and decoder, where `push` (n, d_out) is the gradient by what these codes decode to."""
    values = dots(push, weights.decoder, codes) * (codes.values > 0)
    order = codes.latents.to(torch.int32).argsort()
    ends = torch.arange(len(weights.encoder), device=x.device, dtype=torch.int32)
    starts = torch.searchsorted(codes.latents[order].to(torch.int32), ends)
    rows = codes.rows[order]
    encoder = embedding_bag(rows, x, starts, mode="sum", per_sample_weights=values[order])
    decoder = embedding_bag(rows, push, starts, mode="sum", per_sample_weights=codes.values[order])
    b_enc = torch.zeros_like(weights.b_enc).index_add_(0, codes.latents, values)
    return encoder, b_enc, decoder
