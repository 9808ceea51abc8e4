"""What single parts of a model do: patched, ablated, traced along one path, or estimated for all of them by one gradient.

With m the difference of two logits after the last token, x* what a part is given in place of x:

    patching          m(x <- x*) - m(x)                   one run a part; the brute force that all else is held against
    attribution       (x* - x) . dm/dx                    one run and one gradient for all parts (arXiv:2310.10348)
    path patching     m(receiver <- its value when only the sender's direct contribution to its input is x*) - m(x)
                                                          everything between the two held fixed (arXiv:2304.05969)

Ablation is patching with zero or with the mean over prompts. Each function returns one number a prompt, in logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from stepladder.methods.interpretability.circuits_model import CircuitModel, Place, Run

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 256
"""Rows of one run; a chunk of parts times prompts."""


@dataclass(frozen=True, order=True)
class Part:
    """A part of the model: head `index` of a layer, its MLP (index -1), or its stream at token `index`."""

    layer: int
    site: str
    index: int = -1

    @property
    def place(self) -> Place:
        """Where it is read and changed."""
        return Place(self.layer, self.site)

    @property
    def name(self) -> str:
        """Short and unique: `5.3`, `mlp 5`, `stream 5 @ 7`."""
        if self.site == "heads":
            return f"{self.layer}.{self.index}"
        return f"mlp {self.layer}" if self.site == "mlp" else f"stream {self.layer} @ {self.index}"

    def pick(self, values: Tensor) -> Tensor:
        """Its values among those of its place: (rows, tokens, width), or (rows, width) at one token."""
        return values if self.site == "mlp" else values[:, :, self.index] if self.site == "heads" else values[:, self.index]

    def put(self, values: Tensor, new: Tensor) -> None:
        """Write `new` where `pick` reads."""
        self.pick(values)[...] = new


@dataclass(frozen=True)
class Prompts:
    """Prompts of equal length with two tokens to compare: `tokens` (rows, n), `answers` and `foils` (rows)."""

    tokens: Tensor
    answers: Tensor
    foils: Tensor

    def difference(self, logits: Tensor, repeats: int = 1) -> Tensor:
        """Logit of the answer minus that of the foil, of `repeats` rows a prompt, (rows * repeats)."""
        answers, foils = self.answers.repeat_interleave(repeats), self.foils.repeat_interleave(repeats)
        return (logits.gather(1, answers[:, None]) - logits.gather(1, foils[:, None]))[:, 0]


def heads_of(model: CircuitModel) -> list[Part]:
    """Every head."""
    return [Part(layer, "heads", head) for layer in range(model.layers) for head in range(model.heads)]


def mlps_of(model: CircuitModel) -> list[Part]:
    """Every MLP."""
    return [Part(layer, "mlp") for layer in range(model.layers)]


def read(model: CircuitModel, tokens: Tensor) -> Run:
    """One run in which everything is kept."""
    return model.run(tokens, keep=model.places)


def patch_each(
    model: CircuitModel, prompts: Prompts, base: Run, parts: Sequence[Part], values: Mapping[Place, Tensor],
    advance: Callable[[int], None] = lambda _: None, agree: int = 0,
) -> Tensor:  # fmt: skip
    """(parts, prompts): the logit difference when one part at a time takes its value in `values`, minus that of `base`.

    `base` is `read(model, prompts.tokens)`; what lies before a part is taken from it. `values` has the shapes of
    `base.kept`, or such that broadcast to them. The first `agree` tokens, at which both have the same values, are run once.
    """
    import torch

    assert base.hidden is not None
    plain = prompts.difference(model.last(base.hidden))
    prefix = model.read_prefix(prompts.tokens[:, :agree])
    found = []
    for chunk in _chunks(parts, max(1, ROWS // len(prompts.tokens))):
        place, count = chunk[0].place, len(chunk)
        start = base.kept[Place(place.layer - 1, "residual")][:, agree:] if place.layer > 0 else None
        run = model.run(
            prompts.tokens[:, agree:].repeat_interleave(count, 0),
            {place: _one_a_row(chunk, values[place].expand_as(base.kept[place])[:, agree:], agree)},
            start=None if start is None else (place.layer, start.repeat_interleave(count, 0)),
            prefix=_repeated(prefix, count),
        )
        assert run.hidden is not None
        found.append(prompts.difference(model.last(run.hidden), count).view(-1, count).T - plain)
        advance(count)
    return torch.cat(found)


def _one_a_row(chunk: Sequence[Part], new: Tensor, agree: int) -> Callable[[Tensor], Tensor]:
    """The change that gives row i of each prompt's rows the new value of part i; the first `agree` tokens are not there."""

    def change(value: Tensor) -> Tensor:
        value = value.clone()
        for i, part in enumerate(chunk):
            if part.site == "residual":
                value[i :: len(chunk), part.index - agree] = new[:, part.index - agree]
            else:
                part.put(value[i :: len(chunk)], part.pick(new))
        return value

    return change


def _repeated(prefix: Any, count: int) -> Any:
    """A copy of the cache for `count` rows a prompt, as a run uses its own up."""
    if prefix is None:
        return None
    import copy

    mine = copy.deepcopy(prefix)
    mine.batch_repeat_interleave(count)
    return mine


def patch_together(
    model: CircuitModel, prompts: Prompts, base: Run, parts: Sequence[Part], values: Mapping[Place, Tensor]
) -> Tensor:
    """(prompts,): the same with all the parts changed at once."""
    assert base.hidden is not None
    run = model.run(prompts.tokens, changes_of(parts, values))
    assert run.hidden is not None
    return prompts.difference(model.last(run.hidden)) - prompts.difference(model.last(base.hidden))


def changes_of(parts: Sequence[Part], values: Mapping[Place, Tensor]) -> dict[Place, Callable[[Tensor], Tensor]]:
    """The changes of a run that give each part its value in `values`."""

    def changing(chosen: Sequence[Part]) -> Callable[[Tensor], Tensor]:
        def change(value: Tensor) -> Tensor:
            value = value.clone()
            for part in chosen:
                part.put(value, part.pick(values[part.place].expand_as(value)))
            return value

        return change

    return {place: changing(list(group)) for place, group in groupby(sorted(parts), key=lambda part: part.place)}


def attribute(model: CircuitModel, prompts: Prompts, parts: Sequence[Part], values: Mapping[Place, Tensor]) -> Tensor:
    """(parts, prompts): the first-order estimate of `patch_each` for all parts, from one run and one gradient."""
    import torch

    keep = list(dict.fromkeys(part.place for part in parts))
    run = model.run(prompts.tokens, keep=keep, grad=True)
    assert run.hidden is not None
    with torch.enable_grad():
        total = prompts.difference(model.last(run.hidden)).sum()
    slopes = torch.autograd.grad(total, [run.kept[place] for place in keep])
    moved = {place: (slope * (values[place] - run.kept[place].detach())) for place, slope in zip(keep, slopes, strict=True)}
    return torch.stack([part.pick(moved[part.place]).flatten(1).sum(1) for part in parts])


def path_effects(
    model: CircuitModel, prompts: Prompts, base: Run, sender: Part, receivers: Sequence[Part | None],
    values: Mapping[Place, Tensor], agree: int = 0,
) -> Tensor:  # fmt: skip
    """(receivers, prompts): effects of direct paths from a head or MLP to heads; to the logits for receiver `None`.

    The stream into the receiver's layer is that of `base` plus what the sender adds differently when it takes its value in
    `values`; the value the receiver then has is put into a run that is otherwise `base`. 0 where the sender does not come
    before the receiver. The first `agree` tokens have the same values in both.
    """
    import torch

    assert base.hidden is not None
    plain = prompts.difference(model.last(base.hidden))
    shift = _contribution(model, prompts, base, sender, values)
    found = []
    for receiver in receivers:
        if receiver is None:
            stream = base.kept[Place(model.layers - 1, "residual")] + shift
            found.append(prompts.difference(model.last(model.norm(stream))) - plain)
        elif sender.layer >= receiver.layer:
            found.append(torch.zeros_like(plain))
        else:
            start = (receiver.layer, base.kept[Place(receiver.layer - 1, "residual")] + shift)
            moved = model.run(prompts.tokens, keep=[receiver.place], start=start, stop=receiver.layer)
            found.append(patch_each(model, prompts, base, [receiver], moved.kept, agree=agree)[0])
    return torch.stack(found)


def _contribution(model: CircuitModel, prompts: Prompts, base: Run, sender: Part, values: Mapping[Place, Tensor]) -> Tensor:
    """(prompts, tokens, d): how the stream after the sender's layer moves, the layer's MLP held fixed for a head."""
    changes = changes_of([sender], values)
    if sender.site == "heads":
        fixed = Place(sender.layer, "mlp")
        changes[fixed] = lambda value: base.kept[fixed]
    after = Place(sender.layer, "residual")
    run = model.run(prompts.tokens, changes, keep=[after], start=_start(base, sender.layer), stop=sender.layer)
    return run.kept[after] - base.kept[after]


def mean_values(base: Run) -> dict[Place, Tensor]:
    """The mean over prompts at every token, (1, tokens, ...) for each place: what mean ablation puts in."""
    return {place: value.mean(0, keepdim=True) for place, value in base.kept.items()}


def zero_values(base: Run) -> dict[Place, Tensor]:
    """Zeros: what zero ablation puts in."""
    return {place: value.new_zeros(1, *value.shape[1:]) for place, value in base.kept.items()}


def _start(base: Run, layer: int) -> tuple[int, Tensor] | None:
    """Where a run that changes something in `layer` can begin."""
    return (layer, base.kept[Place(layer - 1, "residual")]) if layer > 0 else None


def _chunks(parts: Sequence[Part], size: int) -> Iterator[list[Part]]:
    """Runs of parts of the same place, in the given order, at most `size` long."""
    for _, group in groupby(parts, key=lambda part: part.place):
        members = list(group)
        yield from (members[start : start + size] for start in range(0, len(members), size))
