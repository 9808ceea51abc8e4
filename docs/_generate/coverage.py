"""How often each interval of `stepladder.stats` contains the truth, simulated where that is hard; writes docs/coverage.*.

    python docs/_generate/coverage.py [--check]

Fixed seeds, about a minute. `coverage.json` holds one row a corner; `coverage.md` and `coverage.svg` are made from it. The
textbook interval named in each row is computed on the same data.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stepladder import stats
from stepladder.stats import JudgeErrors

DOCS = Path(__file__).resolve().parents[1]
SEEDS = 2000
Bounds = tuple[float, float] | None
Draw = Callable[[np.random.Generator], tuple[Bounds, Bounds]]


@dataclass(frozen=True)
class Corner:
    """One hard case: `draw` makes data and gives our bounds and the textbook's; `truth` is what both are after."""

    topic: str
    case: str
    truth: float
    textbook: str
    draw: Draw
    seeds: int = SEEDS


def ours(estimate: stats.Estimate | None) -> Bounds:
    if estimate is None or estimate.interval is None:
        return None
    return estimate.interval.low, estimate.interval.high


def wald(value: float, variance: float) -> Bounds:
    half = 1.959964 * math.sqrt(max(variance, 0.0))
    return value - half, value + half


def rates() -> Iterator[Corner]:
    for n, p in ((30, 0.02), (30, 0.1), (10, 0.5), (200, 0.01)):

        def draw(rng: np.random.Generator, n: int = n, p: float = p) -> tuple[Bounds, Bounds]:
            x = rng.binomial(n, p)
            interval = stats.wilson(x, n)
            assert interval is not None
            return (interval.low, interval.high), wald(x / n, x / n * (1 - x / n) / n)

        yield Corner("Rate (Wilson)", f"rate {p}, n {n}", p, "Wald", draw)

        def exact(rng: np.random.Generator, n: int = n, p: float = p) -> tuple[Bounds, Bounds]:
            x = rng.binomial(n, p)
            interval = stats.clopper_pearson(x, n)
            assert interval is not None
            return (interval.low, interval.high), wald(x / n, x / n * (1 - x / n) / n)

        yield Corner("Rate (Clopper-Pearson)", f"rate {p}, n {n}", p, "Wald", exact)


def clustered_rates() -> Iterator[Corner]:
    uneven = [2, 4, 6, 8, 20]
    cases = [([6] * 5, r, p) for r in (0.1, 0.5) for p in (0.02, 0.3)] + [(uneven, 0.5, 0.1), ([6] * 40, 0.3, 0.02)]
    for sizes, rho, p in cases:
        rows = np.repeat(np.arange(len(sizes)), sizes)

        def draw(rng: np.random.Generator, rows: Any = rows, rho: float = rho, p: float = p, k: int = len(sizes)) -> Any:
            hidden = rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), k)
            y = (rng.random(len(rows)) < hidden[rows]).astype(float)
            return ours(stats.clustered_rate(y, rows.tolist())), wald(y.mean(), y.var() / len(y))

        shape = "uneven clusters" if sizes is uneven else "clusters of 6"
        yield Corner("Rate in clusters", f"rate {p}, {len(sizes)} {shape}, correlation {rho}", p, "Wald on rows", draw)


def clustered_means() -> Iterator[Corner]:
    for sizes, rho in (([6] * 5, 0.3), ([2, 4, 6, 8, 20], 0.3), ([1, 1, 1, 1, 30], 0.3)):
        rows = np.repeat(np.arange(len(sizes)), sizes)

        def draw(rng: np.random.Generator, rows: Any = rows, rho: float = rho, k: int = len(sizes)) -> Any:
            y = rng.normal(0, math.sqrt(rho), k)[rows] + rng.normal(0, math.sqrt(1 - rho), len(rows))
            return ours(stats.clustered_mean(y, rows.tolist())), wald(y.mean(), y.var(ddof=1) / len(y))

        yield Corner("Mean in clusters", f"normal, clusters of {sizes}, correlation {rho}", 0, "Wald on rows", draw)


def bootstraps() -> Iterator[Corner]:
    for k in (8, 20):

        def draw(rng: np.random.Generator, k: int = k) -> tuple[Bounds, Bounds]:
            y = rng.exponential(1, k)
            estimate = stats.bca(np.mean, y, clusters=range(k), resamples=500)
            picks = y[rng.integers(0, k, (500, k))].mean(1)
            return ours(estimate), (float(np.quantile(picks, 0.025)), float(np.quantile(picks, 0.975)))

        yield Corner("BCa bootstrap", f"mean of {k} skewed clusters", 1, "percentile bootstrap", draw, 300)


def paired() -> Iterator[Corner]:
    for k, m, lose, gain, rho in (
        (30, 1, 0.05, 0.02, 0),
        (100, 1, 0.3, 0.1, 0),
        (5, 6, 0.3, 0.05, 0.3),
        (20, 6, 0.3, 0.05, 0.3),
    ):
        rows = np.repeat(np.arange(k), m)
        shares = np.array([lose, gain, 1 - lose - gain])

        def draw(rng: np.random.Generator, k: int = k, rho: float = rho, rows: Any = rows, shares: Any = shares) -> Any:
            hidden = rng.dirichlet(shares * (1 / rho - 1), k) if rho else np.tile(shares, (k, 1))
            u = rng.random(len(rows))
            lost = u < hidden[rows, 0]
            gained = ~lost & (u < hidden[rows, 0] + hidden[rows, 1])
            d = gained.astype(float) - lost
            ci = stats.paired_difference(lost.astype(float), gained.astype(float), rows.tolist())
            return ours(ci), wald(d.mean(), d.var(ddof=1) / len(d))

        case = f"{lose:.0%} lose, {gain:.0%} gain, " + (
            f"{k} pairs" if m == 1 else f"{k} clusters of {m}, correlation {rho}"
        )
        yield Corner("Paired difference", case, gain - lose, "Wald", draw)


def rankings() -> Iterator[Corner]:
    cuts = (0.5, 1.5)
    for shift, m, n, tied in ((1.0, 10, 10, True), (2.3, 10, 10, True), (2.3, 8, 200, False), (3.3, 30, 30, True)):
        truth = _tied_area(shift, cuts) if tied else _normal_cdf(shift / math.sqrt(2))

        def draw(rng: np.random.Generator, shift: float = shift, m: int = m, n: int = n, tied: bool = tied) -> Any:
            s = np.concatenate([rng.normal(shift, 1, m), rng.normal(0, 1, n)])
            s = np.digitize(s, cuts).astype(float) if tied else s
            return ours(stats.auroc(s, [1] * m + [0] * n)), _delong_wald(s[:m], s[m:])

        how = "three tied scores" if tied else "no ties"
        yield Corner("AUROC", f"true {truth:.2f}, {m} positives, {n} negatives, {how}", truth, "DeLong, Wald", draw)
    for m, n, fpr, step in ((20, 50, 0.05, 0.0), (50, 400, 0.01, 0.0), (200, 1000, 0.05, 2 / 3)):
        truth = _recall(fpr, step)

        def recall(rng: np.random.Generator, m: int = m, n: int = n, fpr: float = fpr, step: float = step) -> Any:
            s = np.concatenate([rng.normal(2, 1, m), rng.normal(0, 1, n)])
            s = np.round(s / step) * step if step else s
            estimate = stats.recall_at_fpr(s, [1] * m + [0] * n, fpr)
            assert estimate is not None
            return ours(estimate), wald(estimate.value, estimate.value * (1 - estimate.value) / m)

        how = "tied scores" if step else "no ties"
        yield Corner(
            "Recall at fixed FPR",
            f"FPR {fpr}, {m} positives, {n} negatives, {how}",
            truth,
            "Wald, threshold taken as known",
            recall,
        )


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _tied_area(shift: float, cuts: tuple[float, ...]) -> float:
    edges = [-math.inf, *cuts, math.inf]
    cells = list(pairwise(edges))
    high = [_normal_cdf(b - shift) - _normal_cdf(a - shift) for a, b in cells]
    low = [_normal_cdf(b) - _normal_cdf(a) for a, b in cells]
    return sum(h * (sum(low[:i]) + low[i] / 2) for i, h in enumerate(high))


def _recall(fpr: float, step: float) -> float:
    """Recall of N(2, 1) above the lowest threshold that at most `fpr` of N(0, 1) exceed, both rounded to `step`."""
    if step:
        edge = next(k for k in range(100) if 1 - _normal_cdf((k + 0.5) * step) <= fpr)
        return 1 - _normal_cdf((edge + 0.5) * step - 2)
    from scipy.special import ndtri

    return 1 - _normal_cdf(float(ndtri(1 - fpr)) - 2)


def _delong_wald(high: np.ndarray, low: np.ndarray) -> Bounds:
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    variance = wins.mean(1).var(ddof=1) / len(high) + wins.mean(0).var(ddof=1) / len(low)
    return wald(float(wins.mean()), float(variance))


def corrections() -> Iterator[Corner]:
    cases = (
        (10, 10, 0.9, 0.95, 100, 0.2),
        (10, 10, 0.7, 0.7, 400, 0.5),
        (20, 40, 0.9, 0.95, 400, 0.02),
        (100, 100, 0.8, 0.9, 400, 0.5),
    )
    for pos, neg, se, sp, n, p in cases:

        def draw(rng: np.random.Generator, c: Any = (pos, neg, se, sp, n, p)) -> tuple[Bounds, Bounds]:
            pos, neg, se, sp, n, p = c
            tp, tn, x = rng.binomial(pos, se), rng.binomial(neg, sp), rng.binomial(n, p * se + (1 - p) * (1 - sp))
            youden = tp / pos + tn / neg - 1
            q = x / n
            textbook = wald((q + tn / neg - 1) / youden, q * (1 - q) / n / youden**2) if youden > 0 else None
            return ours(stats.rogan_gladen(x, n, JudgeErrors(tp, pos - tp, tn, neg - tn))), textbook

        case = f"rate {p}, n {n}, Se {se}, Sp {sp} known from {pos} + {neg}"
        yield Corner("Rogan-Gladen", case, p, "calibration taken as exact", draw)


def prediction_powered() -> Iterator[Corner]:
    for p, n, accuracy in ((0.1, 50, 1.0), (0.1, 50, 0.9), (0.1, 50, 0.5), (0.1, 50, 0.0), (0.02, 30, 0.9), (0.5, 20, 0.9)):

        def draw(rng: np.random.Generator, p: float = p, n: int = n, accuracy: float = accuracy) -> tuple[Bounds, Bounds]:
            y = (rng.random(n + 1000) < p).astype(float)
            f = np.where(rng.random(n + 1000) < accuracy, y, 1 - y)
            return ours(stats.ppi_rate(y[:n], f[:n], f[n:])), wald(f.mean(), f.var() / len(f))

        yield Corner(
            "PPI++ (rate)", f"rate {p}, {n} labels, machine right {accuracy:.0%}", p, "machine's labels believed", draw
        )
    for n, r in ((10, 0.0), (10, 0.95), (30, 0.5)):

        def mean(rng: np.random.Generator, n: int = n, r: float = r) -> tuple[Bounds, Bounds]:
            y = rng.normal(0, 1, n + 1000)
            f = 0.5 + r * y + math.sqrt(1 - r * r) * rng.normal(0, 1, n + 1000)
            return ours(stats.ppi_mean(y[:n], f[:n], f[n:])), wald(f.mean(), f.var() / len(f))

        yield Corner("PPI++ (mean)", f"normal, {n} labels, correlation {r}", 0, "machine's labels believed", mean)


def raters() -> Iterator[Corner]:
    for n, accuracy in ((10, 0.95), (30, 0.8), (100, 0.99)):
        alike = accuracy**2 + (1 - accuracy) ** 2

        def draw(rng: np.random.Generator, n: int = n, accuracy: float = accuracy) -> tuple[Bounds, Bounds]:
            y = rng.random(n) < 0.5
            a, b = (np.where(rng.random(n) < accuracy, y, ~y).astype(int) for _ in range(2))
            po, pa, pb = (a == b).mean(), a.mean(), b.mean()
            pe = pa * pb + (1 - pa) * (1 - pb)
            textbook = wald((po - pe) / (1 - pe), po * (1 - po) / n / (1 - pe) ** 2) if pe < 1 else None
            return ours(stats.cohen_kappa(a.tolist(), b.tolist())), textbook

        yield Corner("Cohen's kappa", f"{n} items, true {2 * alike - 1:.2f}", 2 * alike - 1, "Wald", draw, 1000)

        def alpha(rng: np.random.Generator, n: int = n, accuracy: float = accuracy) -> tuple[Bounds, Bounds]:
            y = rng.random(n) < 0.5
            ratings = [np.where(rng.random(n) < accuracy, y, ~y).astype(int).tolist() for _ in range(3)]
            return ours(stats.krippendorff_alpha(ratings)), None

        yield Corner("Krippendorff's alpha", f"3 raters, {n} items, true {2 * alike - 1:.2f}", 2 * alike - 1, "", alpha, 400)


def conformal() -> Iterator[Corner]:
    """The share of calibration sets whose threshold keeps the promised false-positive rate, as coverage of [0, promise]."""
    for n, fpr, step in ((300, 0.01, 0.0), (500, 0.05, 0.0), (300, 0.05, 1.0)):

        def draw(rng: np.random.Generator, n: int = n, fpr: float = fpr, step: float = step) -> tuple[Bounds, Bounds]:
            scores = rng.normal(0, 1, n)
            scores = np.round(scores / step) * step if step else scores
            edge = stats.conformal_threshold(scores, fpr, confidence=0.95), float(np.quantile(scores, 1 - fpr))
            true = [1 - _normal_cdf(t + step / 2) if math.isfinite(t) else 0.0 for t in edge]
            kept, textbook = ((0.0, 1.0) if rate <= fpr else (2.0, 3.0) for rate in true)
            return kept, textbook

        how = "tied scores" if step else "no ties"
        yield Corner("Conformal threshold", f"FPR {fpr} kept with 95%, {n} scores, {how}", fpr, "empirical quantile", draw)


def corners() -> list[Corner]:
    groups = (
        rates,
        clustered_rates,
        clustered_means,
        bootstraps,
        paired,
        rankings,
        corrections,
        prediction_powered,
        raters,
        conformal,
    )
    return [corner for group in groups for corner in group()]


def covered(bounds: list[Bounds], truth: float) -> float | None:
    formed = [b for b in bounds if b is not None]
    return sum(b[0] - 1e-12 <= truth <= b[1] + 1e-12 for b in formed) / len(formed) if formed else None


def simulate(corner: Corner, seeds: int | None = None) -> dict[str, Any]:
    """One row of the table; the seeds follow from the corner's own words, so that adding corners changes no other row."""
    count = seeds or corner.seeds
    base = zlib.crc32(f"{corner.topic}: {corner.case}".encode())
    drawn = [corner.draw(np.random.default_rng((base, seed))) for seed in range(count)]
    mine, others = [d[0] for d in drawn], [d[1] for d in drawn]
    coverage, textbook = covered(mine, corner.truth), covered(others, corner.truth)
    widths = [b[1] - b[0] for b in mine if b is not None]
    return {
        "topic": corner.topic,
        "case": corner.case,
        "truth": round(corner.truth, 4),
        "coverage": None if coverage is None else round(coverage, 4),
        "width": round(float(np.mean(widths)), 4) if widths and corner.topic != "Conformal threshold" else None,
        "no_interval": sum(b is None for b in mine),
        "textbook": corner.textbook,
        "textbook_coverage": None if textbook is None else round(textbook, 4),
        "seeds": count,
    }


def page(rows: list[dict[str, Any]]) -> str:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    lines = [
        "# Coverage",
        "",
        "How often the nominal 95% interval contains the truth, in the corners where intervals fail. Simulated with",
        "fixed seeds by `python docs/_generate/coverage.py`; with 2,000 seeds one standard error at 95% is 0.005.",
        "*Textbook* is the usual interval on the same data. [What the numbers mean](numbers.md) says what each is for.",
        "",
        "![Coverage of each interval and of its textbook counterpart](coverage.svg)",
        "",
        "| interval | corner | coverage | mean width | textbook | its coverage |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = (
            r["topic"],
            r["case"],
            share(r["coverage"]),
            share(r["width"]),
            r["textbook"],
            share(r["textbook_coverage"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def picture(rows: list[dict[str, Any]]) -> str:
    import altair as alt
    import vl_convert

    long = [
        {"corner": f"{r['topic']}: {r['case']}", "coverage": r[key], "interval": name, "order": i}
        for i, r in enumerate(rows)
        for key, name in (("coverage", "Stepladder"), ("textbook_coverage", "textbook"))
        if r[key] is not None
    ]
    names = [f"{r['topic']}: {r['case']}" for r in rows]
    kinds = ["Stepladder", "textbook"]
    colours, shapes = (
        alt.Scale(domain=kinds, range=["#1b6ca8", "#c9681f"]),
        alt.Scale(domain=kinds, range=["circle", "diamond"]),
    )
    points = (
        alt.Chart(alt.Data(values=long))
        .mark_point(filled=True, size=55)
        .encode(
            x=alt.X(
                "coverage:Q", scale=alt.Scale(domain=[0, 1]), title="share of simulations whose interval contains the truth"
            ),
            y=alt.Y("corner:N", sort=names, title=None, axis=alt.Axis(labelLimit=600, grid=True)),
            color=alt.Color("interval:N", scale=colours, title=None),
            shape=alt.Shape("interval:N", scale=shapes, title=None),
        )
    )
    nominal = alt.Chart(alt.Data(values=[{"x": 0.95}])).mark_rule(strokeDash=[4, 3], color="#444").encode(x="x:Q")
    chart = (nominal + points).properties(width=420, height=alt.Step(15), title="Coverage of nominal 95% intervals")
    return str(vl_convert.vegalite_to_svg(chart.to_json()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if coverage.json is not what this script computes")
    check = parser.parse_args().check
    rows = [simulate(corner) for corner in corners()]
    text = json.dumps(rows, indent=1) + "\n"
    if check:
        raise SystemExit(0 if (DOCS / "coverage.json").read_text("utf-8") == text else "docs/coverage.json is stale")
    (DOCS / "coverage.json").write_text(text, "utf-8")
    (DOCS / "coverage.md").write_text(page(rows), "utf-8")
    (DOCS / "coverage.svg").write_text(picture(rows), "utf-8")


if __name__ == "__main__":
    main()
