"""The figures of the page on harvesting activations; types in no figure.

python docs/_generate/harvest.py STORE    measure on the embedded model (STORE keeps the shards), then draw
python docs/_generate/harvest.py          draw again from docs/methods/activation_harvest.json
"""

from __future__ import annotations

import sys
from typing import Any

from training_charts import draw, finding, table, write

from stepladder.core import Finding, Measurement
from stepladder.methods.interpretability.activation_harvest import METHOD
from stepladder.report import charts


def page(seen: Finding) -> None:
    """The picture and the table."""
    norms = seen.select("norm")
    draw(_picture(seen, norms), METHOD.name)
    rows = []
    for norm in norms:
        layer = norm.labels["layer"]
        largest, massive = seen.one("largest_norm", layer=layer), seen.one("massive_tokens", layer=layer)
        first, error = seen.one("massive_tokens_first", layer=layer), seen.one("relative_error", layer=layer)
        assert error.baseline is not None
        assert error.baseline.value is not None
        assert largest.value is not None
        alone = f"{100 * error.baseline.value:.2f}%"
        rows.append([layer, _shown(norm), f"{largest.value:.0f}", _shown(massive, 100, 2, "%"), _shown(first, 100, 0, "%"),
                     _shown(error, 100, 2, "%"), alone])  # fmt: skip
    head = "layer|norm|largest, times the median|massive tokens|of which first|relative error|rounding alone"
    total = seen.one("rows")
    write(METHOD.name, f"{total.value:,.0f} tokens of {total.n} documents.\n\n" + table(head, rows))


def _picture(seen: Finding, norms: tuple[Measurement, ...]) -> Any:
    """The norm of a token and the largest one, by layer, on a logarithmic axis."""
    import altair as alt

    rows = []
    for norm in norms:
        times, layer = seen.one("largest_norm", layer=norm.labels["layer"]).value, int(norm.labels["layer"])
        assert norm.value is not None
        assert times is not None
        rows.append({"layer": layer, "norm": norm.value, "series": "median token"})
        rows.append({"layer": layer, "norm": norm.value * times, "series": "largest"})
    domain = ["median token", "largest"]
    colours = alt.Scale(domain=domain, range=[charts.colour("after"), charts.colour("before")])
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=60), strokeWidth=2)
        .encode(
            x=alt.X("layer:Q", title="Layer"),
            y=alt.Y("norm:Q", title="Norm", scale=alt.Scale(type="log"), axis=alt.Axis(values=[10, 100, 1000, 10_000])),
            color=alt.Color("series:N", scale=colours, title=None),
            strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=domain), title=None),
        )
        .properties(width=460, height=260)
    )


def _shown(m: Measurement, scale: float = 1, digits: int = 1, unit: str = "") -> str:
    if m.value is None:
        return "none"
    value = f"{scale * m.value:.{digits}f}{unit}"
    return f"{value} [{scale * m.interval.low:.{digits}f}, {scale * m.interval.high:.{digits}f}]" if m.interval else value


if __name__ == "__main__":
    page(finding(METHOD, sys.argv[1] if len(sys.argv) > 1 else None))
