"""Feature labels end to end on 300,000 tokens, and the page of any latent from what that leaves on disk."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.rows import WORK, Row, contend, row
from stepladder.models.local.embedded import embedded_folder


def rows() -> list[Row]:
    """Both have limits instead of peers: five minutes, and one second a page."""
    with tempfile.TemporaryDirectory(dir=WORK) as scratch:
        folder, model = Path(scratch) / "features", embedded_folder()
        made = contend(sys.executable, "own_features.py", folder, model, "label")
        page = contend(sys.executable, "own_features.py", folder, model, "page")
    note = "300,000 tokens: harvest, 8,192 latents trained, 24 labelled and scored beside 12 random directions; "
    note += f"peak memory {made['peak']:.1f} GB"
    slow = f"50 latents at random, folder opened anew each time; slowest {1000 * page['slowest']:.0f} ms"
    return [
        row("text to scored feature labels", "limit", made["seconds"], 300.0, "s a run", note=note),
        row("page of any latent", "limit", 1000 * page["median"], 1000.0, "ms a page", note=slow),
    ]
