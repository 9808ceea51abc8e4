"""When do features share dimensions? The toy models of superposition trained anew, and a dictionary that takes them apart.

Paper: Elhage et al., Toy Models of Superposition (https://transformer-circuits.pub/2022/toy_model/index.html). What is
trained: dense and sparse features of falling importance, with and without the ReLU; two features in one dimension over
density and importance; equal features over density; small models whose optimum is a polytope. Then a sparse autoencoder
reads hidden vectors of a toy, where the true features are known. What differs: fewer features (40 in 8 dimensions, not 400
in 30), each model is the best of several starts, and every number has an interval over independent units.

The subject is not asked anything: this is a check of method and machinery on known truth, the same for every subject. Unit:
a seed with data and starts of its own. Trivial baseline: the linear model, random directions, the commonest phase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepladder.core import Context, Finding, Method, Record, Verdict, new_record
from stepladder.core.errors import require_between
from stepladder.methods.interpretability import toy_measures

if TYPE_CHECKING:
    from stepladder.methods.interpretability.toy_models import Setting, Toys

CAPACITY_DENSITIES = (1.0, 0.3, 0.1, 0.03, 0.01)
CURVE_DENSITIES = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
PHASE_DENSITIES = (0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05)
PHASE_IMPORTANCES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
HIDDEN, FEATURES, CURVE_HIDDEN, CURVE_FEATURES = 5, 20, 8, 40
RECOVERED, RECOVERED_HIDDEN, RECOVERED_DENSITY = 24, 10, 0.03
REPRESENTED = 0.5
"""A feature is represented where |W_i|^2 is above this."""


@dataclass(frozen=True)
class Config:
    """How many models are trained, and for how long."""

    units: int = 6
    """Independent seeds."""
    restarts: int = 8
    """Starts of each small model, of which the one with the lowest loss is kept."""
    steps: int = 600
    """Training steps of each model, of 128 rows (polytopes: 512)."""
    dictionary_steps: int = 600
    """Training steps of the autoencoder on a toy's hidden vectors, of some 500 rows with a feature."""

    def __post_init__(self) -> None:
        for name, least in (("units", 2), ("restarts", 1), ("steps", 20), ("dictionary_steps", 20)):
            require_between("toy_superposition", name, getattr(self, name), least)


def record(context: Context, config: Config) -> Record:
    """Train all models and the dictionaries; what is kept are norms, dimensionalities, outcomes and scores."""
    with context.task("toy models", (4 + len(toy_measures.POLYTOPES)) * config.steps) as advance:
        data = {
            "capacity": _capacity(config, context.seed, advance),
            "phases": _phases(config, context.seed, advance),
            "curve": _curve(config, context.seed, advance),
            "polytopes": _polytopes(config, context.seed, advance),
        }
        toys = _trained([_even(RECOVERED, RECOVERED_HIDDEN, RECOVERED_DENSITY)], config, context.seed, advance, 1)
    with context.task("dictionaries of toys", config.units) as advance:
        data["recovery"] = _recovered(context, config, toys, advance)
    return new_record(METHOD, context, config, data=data)


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Features represented, phases against their closed form, dimensionalities against the published ones, recovery."""
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(toy_measures.measurements(record.data)), examples=(), limits=_LIMITS,
    )  # fmt: skip


def _even(features: int, hidden: int, density: float) -> Setting:
    from stepladder.methods.interpretability.toy_models import Setting

    return Setting((1.0,) * features, density, hidden)


def _trained(
    settings: Sequence[Setting], config: Config, seed: int, advance: Callable[[int], None], restarts: int, batch: int = 128
) -> Toys:
    from stepladder.methods.interpretability.toy_models import train_toys

    return train_toys(settings, config.units, restarts, config.steps, batch, seed, advance)


def _capacity(config: Config, seed: int, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """Twenty features of falling importance in five dimensions, by density, with the ReLU and without."""
    from stepladder.methods.interpretability.toy_models import Setting, interference

    importance = tuple(0.7**i for i in range(FEATURES))
    places = [(density, relu) for density in CAPACITY_DENSITIES for relu in (True, False)]
    toys = _trained([Setting(importance, d, HIDDEN, relu) for d, relu in places], config, seed, advance, 1)
    squares, shared = toys.W.square().sum(-1), interference(toys.W)
    rows = []
    for i, (density, relu) in enumerate(places):
        for unit in range(config.units):
            on = squares[i, unit] > REPRESENTED
            rows.append({
                "density": density, "model": "relu" if relu else "linear", "unit": unit, "represented": int(on.sum()),
                "on_top": float(squares[i, unit, :HIDDEN].sum() / squares[i, unit].sum().clamp(min=1e-9)),
                "interference": float(shared[i, unit][on].mean()) if on.any() else None,
            })  # fmt: skip
    return rows


def _phases(config: Config, seed: int, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """Two features in one dimension: which are represented, and how, by density and relative importance."""
    from stepladder.methods.interpretability.toy_models import Setting

    places = [(density, ratio) for density in PHASE_DENSITIES for ratio in PHASE_IMPORTANCES]
    toys = _trained([Setting((1.0, ratio), d, 1) for d, ratio in places], config, seed, advance, config.restarts)
    return [
        {"density": d, "importance": ratio, "unit": unit, "phase": toy_measures.phase(*toys.W[i, unit, :, 0].tolist())}
        for i, (d, ratio) in enumerate(places)
        for unit in range(config.units)
    ]


def _curve(config: Config, seed: int, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """Features of equal importance: how many a dimension holds, and each one's dimensionality, by density."""
    from stepladder.methods.interpretability.toy_models import dimensionality

    toys = _trained([_even(CURVE_FEATURES, CURVE_HIDDEN, density) for density in CURVE_DENSITIES], config, seed, advance, 1)
    dimensions = dimensionality(toys.W)
    return [
        {
            "density": density, "unit": unit, "per_dimension": float(toys.W[i, unit].square().sum()) / CURVE_HIDDEN,
            "dimensionality": [round(float(value), 4) for value in dimensions[i, unit]],
        }
        for i, density in enumerate(CURVE_DENSITIES)
        for unit in range(config.units)
    ]  # fmt: skip


def _polytopes(config: Config, seed: int, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """Small models at densities where their optimum is a polytope, with as many random directions beside them."""
    import torch

    from stepladder.methods.interpretability.toy_models import dimensionality

    rows = []
    for name, shape in toy_measures.POLYTOPES.items():
        setting = _even(shape.features, shape.hidden, shape.density)
        toys = _trained([setting], config, seed, advance, config.restarts, batch=512)
        generator = torch.Generator().manual_seed(seed)
        for unit in range(config.units):
            random = torch.nn.functional.normalize(torch.randn(toys.W.shape[2:], generator=generator), dim=-1)
            found, chance = (dimensionality(w).tolist() for w in (toys.W[0, unit], random))
            rows.append({"polytope": name, "unit": unit, "dimensionality": found, "random": chance})
    return rows


def _recovered(context: Context, config: Config, toys: Toys, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """A BatchTopK autoencoder on each toy's hidden vectors, scored against the directions that the toy really uses."""
    import torch

    from stepladder.methods.interpretability.sae_config import TrainingConfig
    from stepladder.methods.interpretability.sae_recovery import recovery
    from stepladder.methods.interpretability.sae_training import train_dictionary
    from stepladder.methods.interpretability.toy_models import sample

    rows = []
    for unit in range(config.units):
        generator, true = torch.Generator().manual_seed(context.seed * 1000 + unit), toys.W[0, unit]
        density = torch.tensor([RECOVERED_DENSITY])
        features = (sample(density, 1024, 1, RECOVERED, generator)[0, 0] for _ in range(config.dictionary_steps))
        batches = (x[x.any(1)] @ true for x in features)  # half of the rows have no feature at all and teach nothing
        wanted = TrainingConfig(
            architecture="batchtopk", latents=2 * RECOVERED, k=1, steps=config.dictionary_steps, seed=unit,
            learning_rate=0.01,
        )  # fmt: skip
        found = train_dictionary(batches, wanted, context.folder / f"toy-{unit}")
        held = true.square().sum(-1) > REPRESENTED
        used = true[held] if held.any() else true
        random = torch.randn(found.W_dec.shape, generator=generator)
        scores = {name: recovery(rows, used) for name, rows in (("found", found.W_dec), ("random", random))}
        rows.append({"unit": unit, "features": len(used)} | {
            name: {"cosine": score.matched_cosine, "share": score.found} for name, score in scores.items()
        })  # fmt: skip
        advance(1)
    return rows


_LIMITS = (
    "Toys of a handful of dimensions: that a large model stores its features like this is not shown here.",
    "Features are independent and sparse in the same way; real ones are correlated and of many densities.",
    "A polytope is the best of a few starts, not a proven optimum.",
)

METHOD = Method(
    name="toy_superposition", family="interpretability", access="chat",
    papers=("https://transformer-circuits.pub/2022/toy_model/index.html",), config=Config, record=record, judge=judge,
)  # fmt: skip
