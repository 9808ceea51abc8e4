"""A page about one latent: its label with scores, where it fires, how strongly, what it promotes, and its neighbours.

One HTML file without scripts or outside resources. Its text comes from a corpus or from a model: it is escaped, and
characters that hide or reorder text are written out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepladder.methods.interpretability.contexts import Example
from stepladder.methods.interpretability.feature_folder import FeatureFolder, open_features

TEMPLATE = Path(__file__).with_name("feature_page.html")
SHOWN, ACROSS = 20, 10
"""Windows on a page: the strongest, and some from the strongest to the weakest."""
DEPTH = 0.8
"""How far the strongest token is coloured: text stays readable on it."""
BARS = (320, 90)
"""Width and height of a histogram."""


def feature_page(folder: FeatureFolder | Path, latent: int) -> str:
    """HTML of the page; raises `StoreError` where the folder or the latent does not exist."""
    from jinja2 import Environment

    features = folder if isinstance(folder, FeatureFolder) else open_features(folder)
    examples = features.strongest(latent, SHOWN)
    top = max((max(e.activations) for e in examples), default=0.0)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        latent=latent,
        about=features.about,
        labels=_labels(features, latent),
        count=int(features.index.counts[latent]),
        frequency=features.frequency(latent),
        top=top,
        groups=[
            ("Where it fires most", [_row(example, top) for example in examples]),
            ("From its strongest to its weakest", [_row(example, top) for example in features.across(latent, ACROSS)]),
        ],
        activations=_bars(*features.activation_histogram(latent)),
        logits=_bars(*features.logit_histogram(latent)),
        up=[(shown(token), value) for token, value in features.moved(latent, "up")],
        down=[(shown(token), value) for token, value in features.moved(latent, "down")],
        neighbours=[(other, cosine, _first_label(features, other)) for other, cosine in features.neighbours(latent)],
        width=BARS[0],
        height=BARS[1],
    )


def write_pages(folder: Path, latents: Sequence[int], to: Path) -> list[Path]:
    """Pages of those latents as `to`/<latent>.html."""
    features = open_features(folder)
    to.mkdir(parents=True, exist_ok=True)
    paths = [to / f"{latent}.html" for latent in latents]
    for latent, path in zip(latents, paths, strict=True):
        path.write_text(feature_page(features, latent), "utf-8")
    return paths


def shown(token: str) -> str:
    """The token with what cannot be seen written out: line breaks and tabs as arrows, the rest as code points."""
    return "".join(_visible(char) for char in token)


def _visible(char: str) -> str:
    if char in "\n\t":
        return "⏎" if char == "\n" else "⇥"
    hidden = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return f"‹U+{ord(char):04X}›" if hidden else char


def _row(example: Example, top: float) -> dict[str, Any]:
    """A window's tokens with their shares of the page's largest activation, for the depth of their colour."""
    tokens = [
        {"text": shown(token), "value": value, "share": round(DEPTH * value / top, 3) if top else 0.0}
        for token, value in zip(example.tokens, example.activations, strict=True)
    ]
    return {"document": example.document, "most": max(example.activations), "tokens": tokens}


def _bars(counts: Sequence[int], middles: Sequence[float]) -> dict[str, Any] | None:
    """Rectangles of a histogram, as tall as the square root of the count: rare strong activations stay visible."""
    if not counts:
        return None
    step, top = BARS[0] / len(counts), max(counts) ** 0.5
    heights = [BARS[1] * count**0.5 / top for count in counts]
    bars = [
        {"x": round(i * step, 2), "y": round(BARS[1] - h, 2), "w": round(step - 1, 2), "h": round(h, 2), "n": n, "at": at}
        for i, (h, n, at) in enumerate(zip(heights, counts, middles, strict=True))
    ]
    half = (middles[1] - middles[0]) / 2
    return {"bars": bars, "low": round(middles[0] - half, 9), "high": middles[-1] + half}


def _labels(features: FeatureFolder, latent: int) -> list[dict[str, Any]]:
    found = features.labels.get(str(latent), {})
    return [{"explainer": name, "text": shown(label["text"]), "scores": label["scores"]} for name, label in found.items()]


def _first_label(features: FeatureFolder, latent: int) -> str:
    found = features.labels.get(str(latent), {})
    return shown(next(iter(found.values()))["text"]) if found else ""
