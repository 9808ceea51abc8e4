"""Estimates against networks that were really trained on random halves: better than chance, EK-FAC better than products."""

from __future__ import annotations

import numpy as np
import pytest

from stepladder.methods.attribution.datamodelling import datamodelling_scores, random_halves
from stepladder.methods.attribution.ekfac import ekfac
from stepladder.methods.attribution.gradients import Traces, trace
from stepladder.methods.attribution.tracin import gradient_dot
from stepladder.methods.attribution.trak import trak

torch = pytest.importorskip("torch")

ROWS, QUERIES, WIDTH, HIDDEN, CLASSES = 120, 64, 8, 12, 3
HALVES, STARTS = 80, 4


def labelled(count: int, seed: int):
    """Inputs of unequal spread, as real ones are; three classes by a random quadratic rule, a tenth of the labels wrong."""
    rule = torch.randn(CLASSES, WIDTH + WIDTH * WIDTH, generator=torch.Generator().manual_seed(99))
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, WIDTH, generator=random) * torch.logspace(0.3, -0.7, WIDTH)
    y = (torch.cat([x, (x[:, :, None] * x[:, None]).flatten(1) / 2], 1) @ rule.T).argmax(1)
    wrong = torch.rand(count, generator=random) < 0.1
    return x, torch.where(wrong, torch.randint(0, CLASSES, (count,), generator=random), y)


def forward(weights, x):
    return torch.tanh(x @ weights[0].transpose(1, 2)) @ weights[1].transpose(1, 2)


def losses(weights, x, y):
    logits = forward(weights, x.expand(len(weights[0]), -1, -1))
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), y.expand(len(logits), -1), reduction="none")


def train(masks, x, y):
    """One network for each mask of rows, all at once, to the minimum of a penalised loss, from `STARTS` starts each."""
    random, count = torch.Generator().manual_seed(0), len(masks) // STARTS
    first = torch.randn(STARTS, HIDDEN, WIDTH, generator=random).repeat(count, 1, 1) / WIDTH**0.5
    second = torch.randn(STARTS, CLASSES, HIDDEN, generator=random).repeat(count, 1, 1) / HIDDEN**0.5
    weights = [first.requires_grad_(), second.requires_grad_()]
    optimizer = torch.optim.Adam(weights, 0.03)
    for _ in range(300):
        penalty = sum((w**2).sum((1, 2)) for w in weights)
        loss = (losses(weights, x, y) * masks).sum(1) / masks.sum(1) + 5e-3 * penalty
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return [w.detach() for w in weights]


def traces(weights, x, y) -> Traces:
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (
                torch.nn.Linear(WIDTH, HIDDEN, bias=False),
                torch.nn.Linear(HIDDEN, CLASSES, bias=False),
            )
            self.first.weight.data, self.second.weight.data = weights[0][0], weights[1][0]

        def forward(self, rows):
            return self.second(torch.tanh(self.first(rows)))

    net = Net().requires_grad_(False)

    def loss(batch):
        return torch.nn.functional.cross_entropy(net(x[batch]), y[batch], reduction="none")

    return trace({"first": net.first, "second": net.second}, [1] * len(x), [list(range(len(x)))], loss)


@pytest.fixture(scope="module")
def scores() -> dict[str, np.ndarray]:
    """Datamodelling scores by estimator: (queries); estimates are means over the networks that saw all rows."""
    torch.manual_seed(0)
    (x, y), (qx, qy) = labelled(ROWS, 1), labelled(QUERIES, 2)
    halves = random_halves(ROWS, HALVES, seed=0)
    masks = torch.from_numpy(np.concatenate([np.ones((1, ROWS), bool), halves])).float().repeat_interleave(STARTS, 0)
    trained = train(masks, x, y)
    outputs = -losses(trained, qx, qy).view(HALVES + 1, STARTS, QUERIES).mean(1)[1:].double().numpy()
    made: dict[str, list[np.ndarray]] = {"ekfac": [], "gradient_dot": [], "trak": []}
    for start in range(STARTS):
        one = [w[start : start + 1] for w in trained]
        asked, rows = traces(one, qx, qy), traces(one, x, y)
        made["ekfac"].append(ekfac(asked, rows).numpy())
        made["gradient_dot"].append(gradient_dot(asked, rows).numpy())
        made["trak"].append(trak(asked, rows, sides=12).numpy())
    found = {name: np.mean(values, 0) for name, values in made.items()}
    rng = np.random.default_rng(0)
    found |= {"inputs": (qx @ x.T).numpy(), "random": rng.normal(size=(QUERIES, ROWS))}
    found["shuffled"] = found["ekfac"][:, rng.permutation(ROWS)]
    return {name: datamodelling_scores(values, halves, outputs) for name, values in found.items()}


def error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


@pytest.mark.parametrize("name", ["ekfac", "gradient_dot", "trak"])
def test_gradients_foretell_retraining(scores, name: str) -> None:
    assert scores[name].mean() > 4 * error(scores[name])


@pytest.mark.parametrize("name", ["random", "shuffled"])
def test_random_and_shuffled_influences_do_not(scores, name: str) -> None:
    assert abs(scores[name].mean()) < 4 * error(scores[name])


@pytest.mark.parametrize("other", ["gradient_dot", "inputs"])
def test_curvature_foretells_better(scores, other: str) -> None:
    gain = scores["ekfac"] - scores[other]
    assert gain.mean() > 3 * error(gain)
